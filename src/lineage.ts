/**
 * The identity of a workload slot across rescheduling: `NAMESPACE/KIND/OWNER[/INDEX…]`. It begins with the namespace,
 * so that no pod can name another namespace's checkpoints, and every segment is safe as a file name and as an object key.
 */
export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid?: string | null
  controller?: boolean | null
}

export type LineageSource = {
  namespace: string
  name?: string
  /** The beginning of a name that is made up. An admission review has it without the name, a stored pod beside it. */
  generateName?: string
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  ownerReferences: readonly OwnerReference[]
  /** The node that a DaemonSet's pod is made for. */
  node?: string
  /** The annotation `reprieve.dev/key`. */
  key?: string
}

/**
 * `incarnation`: the UID of the owner, which tells it from an earlier or later object of the same name; missing where the name alone counts.
 * `shared`: more than one pod may bear the name at a time, and why.
 */
export type Lineage =
  { known: true; lineage: string; incarnation?: string; shared?: string } | { known: false; why: string }

const segmentForm = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/

/** The form of `reprieve.dev/key`: shorter than a segment, since people type it. */
export const keyForm = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

type Named = { segments: string[]; incarnation?: string; shared?: string } | { why: string }

export function lineageOf(source: LineageSource): Lineage {
  const named = nameOf(source)
  if ('why' in named) return { known: false, why: named.why }
  const segments = [source.namespace, ...named.segments]
  const unsafe = segments.find((segment) => !segmentForm.test(segment))
  if (unsafe !== undefined)
    return { known: false, why: `${JSON.stringify(unsafe)} cannot be part of a store's key` }
  const lineage = segments.join('/')
  const { incarnation, shared } = named
  return {
    known: true,
    lineage,
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(shared === undefined ? {} : { shared }),
  }
}

function nameOf(source: LineageSource): Named {
  // Kinds begin with a capital letter, so that a key can never collide with an owner's lineage.
  if (source.key !== undefined) return { segments: ['key', source.key] }
  const owner = source.ownerReferences.find((reference) => reference.controller === true)
  if (owner !== undefined) {
    const incarnation = incarnationOf(owner, source)
    return { ...ofOwner(owner, source), ...(incarnation === undefined ? {} : { incarnation }) }
  }
  if (source.name !== undefined) return { segments: ['Pod', source.name] }
  return {
    why: 'the pod has neither a name of its own (only generateName) nor a controller: give it a name, or set reprieve.dev/key',
  }
}

/**
 * An owner that is made anew while the work goes on tells nothing: the ReplicaSet of a Deployment, the Jobs of a JobSet (whose own UID its
 * newer versions put into a label), the StatefulSets of a LeaderWorkerSet.
 */
function incarnationOf(owner: OwnerReference, { labels }: LineageSource): string | undefined {
  const kind = qualifiedKind(owner)
  if (kind === 'ReplicaSet' && deploymentOf(owner, labels) !== undefined) return undefined
  if (own(labels, 'leaderworkerset.sigs.k8s.io/name') !== undefined) return undefined
  const uid = kind === 'Job' && isOfJobSet(labels) ? own(labels, 'jobset.sigs.k8s.io/jobset-uid') : owner.uid
  return uid === null || uid === '' ? undefined : uid
}

/** Whether pods of this owner have names that are made up, which their lineage does not read. @param references of any JSON */
export function hasMadeUpName(references: unknown): boolean {
  if (!Array.isArray(references)) return false
  const owner = (references as Partial<OwnerReference>[]).find((one) => one?.controller === true)
  if (typeof owner?.apiVersion !== 'string' || typeof owner.kind !== 'string') return false
  const kind = qualifiedKind({ apiVersion: owner.apiVersion, kind: owner.kind })
  return kind === 'Job' || kind === 'ReplicaSet' || kind === 'ReplicationController'
}

/** The API server's own end of a name (k8s.io/apimachinery, pkg/util/rand), which CloneSets draw as well. */
const madeUpEnd = /^[bcdfghjklmnpqrstvwxz2456789]{5}$/

/**
 * The API server cuts the beginning of a name that it makes up, so that five characters more have room. Operators that are built as the StatefulSet
 * controller is give their pods a stable name, and `generateName` beside it.
 */
export function isMadeUp(name: string, generateName: string | undefined): boolean {
  const beginning = generateName?.slice(0, 58) ?? ''
  return beginning !== '' && name.startsWith(beginning) && madeUpEnd.test(name.slice(beginning.length))
}

function ofOwner(owner: OwnerReference, source: LineageSource): Named {
  switch (qualifiedKind(owner)) {
    case 'StatefulSet':
      return ofStatefulSet(owner, source)
    case 'Job':
      return ofJob(owner, source)
    case 'ReplicaSet':
      return ofReplicaSet(owner, source)
    case 'ReplicationController':
      return ofReplicas('ReplicationController', owner.name)
    case 'DaemonSet':
    case 'DaemonSet.apps.kruise.io':
      return source.node === undefined
        ? { why: `no node is named for this pod of DaemonSet ${owner.name}` }
        : { segments: [qualifiedKind(owner), owner.name, source.node] }
    default:
      return ofOther(owner, source)
  }
}

function ofStatefulSet(owner: OwnerReference, source: LineageSource): Named {
  // The name is the identity (<set>-<ordinal>); the label apps.kubernetes.io/pod-index is younger than StatefulSets are.
  const name = source.name ?? ''
  const ordinal = name.startsWith(`${owner.name}-`) ? name.slice(owner.name.length + 1) : ''
  if (!/^\d+$/.test(ordinal))
    return { why: `pod name ${JSON.stringify(name)} is not that of a pod of StatefulSet ${owner.name}` }
  return { segments: ['StatefulSet', owner.name, ordinal] }
}

function ofJob(owner: OwnerReference, source: LineageSource): Named {
  const indexName = 'batch.kubernetes.io/job-completion-index'
  const index = own(source.annotations, indexName) ?? own(source.labels, indexName)
  const [jobSet, replicatedJob, jobIndex] = jobSetLabels.map((label) => own(source.labels, label))
  // A JobSet makes its Jobs anew when it restarts; its labels say which is which whatever the Jobs are called.
  const base =
    jobSet !== undefined && replicatedJob !== undefined && jobIndex !== undefined
      ? ['JobSet', jobSet, replicatedJob, jobIndex]
      : ['Job', owner.name]
  if (index !== undefined) return { segments: [...base, index] }
  return {
    segments: base,
    shared: `all pods of Job ${owner.name} share one lineage: keep its parallelism at 1 or make its completionMode Indexed`,
  }
}

const jobSetLabels = ['jobset-name', 'replicatedjob-name', 'job-index'].map(
  (name) => `jobset.sigs.k8s.io/${name}`,
)

function isOfJobSet(labels: LineageSource['labels']): boolean {
  return jobSetLabels.every((label) => own(labels, label) !== undefined)
}

/** The name of the Deployment that has made this ReplicaSet. */
function deploymentOf(owner: OwnerReference, labels: LineageSource['labels']): string | undefined {
  const hash = own(labels, 'pod-template-hash')
  const suffix = `-${hash}`
  const isIts = hash !== undefined && owner.name.endsWith(suffix) && owner.name.length > suffix.length
  return isIts ? owner.name.slice(0, -suffix.length) : undefined
}

function ofReplicaSet(owner: OwnerReference, source: LineageSource): Named {
  const deployment = deploymentOf(owner, source.labels)
  return deployment === undefined
    ? ofReplicas('ReplicaSet', owner.name)
    : ofReplicas('Deployment', deployment)
}

function ofReplicas(kind: string, name: string): Named {
  return {
    segments: [kind, name],
    shared: `all pods of ${kind} ${name} share one lineage: keep its replicas at 1 (and its strategy Recreate)`,
  }
}

/**
 * Operators' kinds: by the index that their labels give, else by the name that they chose for the pod. Where the name is made up, nothing
 * tells which pod replaces which, and a pod would resume the work of its sibling.
 */
function ofOther(owner: OwnerReference, source: LineageSource): Named {
  const base = [qualifiedKind(owner), owner.name]
  const index = operatorIndex(source.labels)
  if (index !== undefined) return { segments: [...base, ...index] }
  const { name, generateName } = source
  if (name !== undefined && !isMadeUp(name, generateName)) return { segments: [...base, name] }
  return {
    why: `${owner.kind} ${owner.name} makes up the names of its pods, and none of their labels tells which pod replaces which: give each of them a reprieve.dev/key of its own, or leave them unprotected`,
  }
}

/**
 * Labels by which an operator tells its pods apart, in the order of the segments. A replacement bears those of the pod that it replaces.
 * A last one with `?` may be missing.
 */
const operatorIndexes = [
  ['training.kubeflow.org/replica-type', 'training.kubeflow.org/replica-index'],
  ['training.kubeflow.org/replica-index'],
  ['apps.kubernetes.io/pod-index'],
  // KubeRay 1.5 with its feature RayMultiHostIndexing. The last one is there only in a group of several hosts.
  ['ray.io/group', 'ray.io/worker-group-replica-index', 'ray.io/replica-host-index?'],
  // Grove: the owner is the PodClique.
  ['grove.io/podclique-pod-index'],
]

function operatorIndex(labels: LineageSource['labels']): string[] | undefined {
  for (const names of operatorIndexes) {
    const values = names.map((name) => own(labels, name.replace('?', '')))
    if (values.every((value, i) => value !== undefined || names[i]?.endsWith('?')))
      return values.filter((value) => value !== undefined)
  }
  return undefined
}

/** `Job`, but `Job.batch.volcano.sh`: another group's kind of the same name is another thing. */
function qualifiedKind(owner: Pick<OwnerReference, 'apiVersion' | 'kind'>): string {
  const slash = owner.apiVersion.indexOf('/')
  const group = slash < 0 ? '' : owner.apiVersion.slice(0, slash)
  return group === '' || group === 'apps' || group === 'batch' ? owner.kind : `${owner.kind}.${group}`
}

function own(map: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined
}
