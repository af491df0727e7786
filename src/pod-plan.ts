/**
 * The decision of the webhook for a pod, handed to the restore init container and the sidecar as JSON in the
 * environment variable `REPRIEVE_PLAN`. It is the only thing that the two halves of Reprieve say to each other
 * inside a pod, so it is versioned, and validated where it is read (`parsePodPlan`).
 */
import { ReprieveError } from './errors.ts'
import { problemsOf as shapeProblemsOf } from './shape.ts'
import { workPartsShape, type OwnWork, type WorkParts } from './work.ts'

export const triggerNames = ['memory', 'disruption', 'spot', 'interval', 'manual'] as const
export type TriggerName = (typeof triggerNames)[number]

/** Where checkpoints go. The credentials and paths are the administrator's, never the pod's. */
export type StorePlan = {
  kind: 'directory'
  name: string
  path: string
  /** Where the releases before 0.3 kept the lineages of all namespaces. Absent where the pod does not see it. */
  earlierPath?: string
}

export type MemoryPressureAnswer = 'grow' | 'reschedule' | 'checkpoint'

/** The answer to a container that fills its memory. */
export type MemoryPlan = {
  /** Percent of the container's memory limit, 1 to 99. */
  thresholdPercent: number
  answer: MemoryPressureAnswer
  /** How far the limit may grow; absent where the container has none. */
  maxBytes?: number
  /** Unix socket of who resizes this pod's containers in place (sidecar/triggers/memory/resource-grower.ts); absent where nobody does. */
  resizeSocket?: string
  /** Whether the webhook gives a replacement what its lineage has recorded that it needs. */
  recordsNeeds: boolean
  /** Why the pod would not be replaced if the container ended: it is not ended for more memory then. Absent where it would. */
  staysBecause?: string
}

export const cloudChoices = ['auto', 'none', 'aws', 'gcp', 'azure'] as const
export type CloudChoice = (typeof cloudChoices)[number]

/** Whose notices are heard: the administrator's word, never the pod's. `endpoint`: instead of the cloud's own address. */
export type CloudPlan = { name: CloudChoice; endpoint?: { host: string; port: number } }

/** How often a checkpoint is taken unasked. `auto`: as often as costs least, by what they cost and how often machines fail. */
export type IntervalPlan = 'auto' | 'off' | { everyMs: number }

/**
 * What a restore does with files on volumes that outlive the pod, where they are not as they were at the checkpoint. `safe`: cuts off
 * what is provably the application's own, and passes a checkpoint over that does not fit any more. `rewind`: cuts back whatever the
 * application may write to. `ignore`: leaves every file as it is.
 */
export const externalFilesChoices = ['safe', 'rewind', 'ignore'] as const
export type ExternalFilesChoice = (typeof externalFilesChoices)[number]

export type ContainerPlan = {
  name: string
  /** SHA-256 (hex) over the parts: a checkpoint fits only where this is equal. */
  fingerprint: string
  /** What the fingerprint is over, so that a difference can be named. Missing in plans of the releases before 0.3. */
  parts?: WorkParts
  /** The fingerprint as the releases before 0.3 made it, for their checkpoints. */
  earlierFingerprint?: string
  /** Mount paths of the container's emptyDir volumes: archived with a checkpoint. */
  emptyDirs: string[]
  /** Mount paths of volumes that outlive the pod (PVC, NFS, hostPath), and are not mounted read-only: nothing of them is archived. */
  external: string[]
  /** Paths at or below those of `emptyDirs` whose contents are not archived. Absent for none. */
  exclude?: string[]
  /** A liveness or startup probe may have the container end, and no resize in place does, which looks the same. Absent for no. */
  probed?: boolean
  memory: MemoryPlan
}

export type PodPlan = {
  version: 1
  namespace: string
  /** The workload slot across rescheduling, e.g. `ml-team/StatefulSet/train/0` (see src/lineage.ts). */
  lineage: string
  /** Of the owner, the UID that tells it from another object of the same name (src/lineage.ts); absent where the name alone counts. */
  incarnation?: string
  store: StorePlan
  /** Complete checkpoints retained in the store, at least 1. */
  keep: number
  /** What sidecars remove of their namespace; absent for `usualTtlMs` and no bound on bytes. */
  retention?: { ttlMs: number; namespaceBytes?: number }
  /** `latest`, `never`, or a checkpoint's id. */
  restore: string
  triggers: TriggerName[]
  /** Milliseconds that a checkpoint at the pod's end may take before the user's own preStop gets its turn. */
  checkpointBudgetMs: number
  /** For how long a periodic checkpoint may stop the application; absent for `usualMaxFreezeMs`. */
  maxFreezeMs?: number
  /** How long fetching a checkpoint and passing troubles may delay the start of a container; absent in plans of the releases before 0.3. */
  restoreBudgetMs?: number
  /** TCP port for /healthz, /readyz, /status and /metrics; 0 for none. */
  statusPort: number
  /** Where it listens; absent for 127.0.0.1. Elsewhere than there it tells /metrics only. */
  statusHost?: string
  /** The node's `memory.available` below which the kubelet evicts at once (its `evictionHard`), in bytes. */
  nodeEvictionBytes: number
  /** Instead of bytes, which are 0 then: the share of the node's capacity, which only the sidecar knows. */
  nodeEvictionPercent?: number
  cloud: CloudPlan
  interval: IntervalPlan
  /** Absent for `safe`. */
  externalFiles?: ExternalFilesChoice
  /** Of a machine, with all that takes it away; for the interval `auto`. */
  meanTimeBetweenFailuresMs: number
  containers: ContainerPlan[]
}

export const usualMaxFreezeMs = 30_000

/** Of a plan that says nothing about retention. */
export const usualTtlMs = 7 * 86_400_000

export function ttlMsOf({ retention }: PodPlan): number {
  return retention?.ttlMs ?? usualTtlMs
}

export const planVariable = 'REPRIEVE_PLAN'

/** The work that a container of the pod does, to be compared with that of a checkpoint or of another pod. */
export function workOf({ incarnation }: PodPlan, container: ContainerPlan): OwnWork {
  const { fingerprint, parts, earlierFingerprint } = container
  return {
    fingerprint,
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(parts === undefined ? {} : { parts }),
    ...(earlierFingerprint === undefined ? {} : { earlierFingerprint }),
  }
}

/** @throws ReprieveError `plan-invalid` naming every problem. */
export function parsePodPlan(json: string): PodPlan {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new ReprieveError('plan-invalid', `${planVariable} is not JSON`, {}, error)
  }
  const problems = problemsOf(value)
  if (problems.length > 0) {
    throw new ReprieveError('plan-invalid', `${planVariable} is not a pod plan: ${problems.join('; ')}`, {
      problems,
    })
  }
  return value as PodPlan
}

function problemsOf(value: unknown): string[] {
  if (!isRecord(value)) return ['not an object']
  const problems: string[] = []
  const expect = (ok: boolean, what: string) => {
    if (!ok) problems.push(what)
  }
  expect(value.version === 1, 'version must be 1')
  expect(isText(value.namespace), 'namespace must be a text')
  expect(isText(value.lineage), 'lineage must be a text')
  expect(value.incarnation === undefined || isText(value.incarnation), 'incarnation must be a text')
  expect(isText(value.restore), 'restore must be a text')
  expect(isWhole(value.keep) && value.keep >= 1, 'keep must be a whole number, at least 1')
  expect(
    value.retention === undefined ||
      (isRecord(value.retention) &&
        isWhole(value.retention.ttlMs) &&
        (value.retention.namespaceBytes === undefined || isWhole(value.retention.namespaceBytes))),
    'retention must be {ttlMs, namespaceBytes?}',
  )
  expect(isWhole(value.checkpointBudgetMs), 'checkpointBudgetMs must be a whole number')
  expect(value.maxFreezeMs === undefined || isWhole(value.maxFreezeMs), 'maxFreezeMs must be a whole number')
  expect(
    value.restoreBudgetMs === undefined || isWhole(value.restoreBudgetMs),
    'restoreBudgetMs must be a whole number',
  )
  expect(isWhole(value.statusPort) && value.statusPort < 65536, 'statusPort must be 0 to 65535')
  expect(value.statusHost === undefined || isText(value.statusHost), 'statusHost must be an address')
  expect(isWhole(value.nodeEvictionBytes), 'nodeEvictionBytes must be a whole number')
  expect(
    value.nodeEvictionPercent === undefined || isShare(value.nodeEvictionPercent),
    'nodeEvictionPercent must be above 0 and below 100',
  )
  const store = value.store
  expect(
    isRecord(store) &&
      store.kind === 'directory' &&
      isText(store.name) &&
      isText(store.path) &&
      store.path.startsWith('/') &&
      (store.earlierPath === undefined || (isText(store.earlierPath) && store.earlierPath.startsWith('/'))),
    'store must be {kind: "directory", name, path, earlierPath?}',
  )
  expect(
    isTexts(value.triggers) &&
      value.triggers.every((name) => (triggerNames as readonly string[]).includes(name)),
    `triggers must be some of ${triggerNames.join(', ')}`,
  )
  expect(
    isCloud(value.cloud),
    `cloud must be {name: one of ${cloudChoices.join(', ')}, endpoint?: {host, port}}`,
  )
  expect(
    value.externalFiles === undefined ||
      externalFilesChoices.some((choice) => choice === value.externalFiles),
    `externalFiles must be one of ${externalFilesChoices.join(', ')}`,
  )
  const { interval } = value
  expect(
    interval === 'auto' ||
      interval === 'off' ||
      (isRecord(interval) && isWhole(interval.everyMs) && interval.everyMs >= 1000),
    'interval must be auto, off or {everyMs: at least 1000}',
  )
  expect(
    isWhole(value.meanTimeBetweenFailuresMs) && value.meanTimeBetweenFailuresMs > 0,
    'meanTimeBetweenFailuresMs must be a whole number above 0',
  )
  if (!Array.isArray(value.containers) || value.containers.length === 0)
    problems.push('containers must be a list, not empty')
  else
    for (const [index, container] of value.containers.entries())
      expect(
        isRecord(container) &&
          isText(container.name) &&
          /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(container.name) &&
          isText(container.fingerprint) &&
          isPartsMaybe(container.parts) &&
          (container.earlierFingerprint === undefined || isText(container.earlierFingerprint)) &&
          isTexts(container.emptyDirs) &&
          isTexts(container.external) &&
          (container.exclude === undefined || isTexts(container.exclude)) &&
          (container.probed === undefined || typeof container.probed === 'boolean') &&
          isMemoryPlan(container.memory),
        `containers[${index}] must be {name: a DNS label, fingerprint, parts?, earlierFingerprint?, emptyDirs, external, exclude?, probed?, memory: {thresholdPercent: 1 to 99, answer, maxBytes?, resizeSocket?, recordsNeeds, staysBecause?}}`,
      )
  return problems
}

function isPartsMaybe(value: unknown): boolean {
  return value === undefined || shapeProblemsOf(workPartsShape, value).length === 0
}

function isMemoryPlan(value: unknown): value is MemoryPlan {
  return (
    isRecord(value) &&
    isWhole(value.thresholdPercent) &&
    value.thresholdPercent >= 1 &&
    value.thresholdPercent <= 99 &&
    (value.answer === 'grow' || value.answer === 'reschedule' || value.answer === 'checkpoint') &&
    (value.maxBytes === undefined || isWhole(value.maxBytes)) &&
    (value.resizeSocket === undefined ||
      (isText(value.resizeSocket) && value.resizeSocket.startsWith('/'))) &&
    typeof value.recordsNeeds === 'boolean' &&
    (value.staysBecause === undefined || isText(value.staysBecause))
  )
}

function isCloud(value: unknown): boolean {
  if (!isRecord(value) || !cloudChoices.some((name) => name === value.name)) return false
  const { endpoint } = value
  if (endpoint === undefined) return true
  return isRecord(endpoint) && isText(endpoint.host) && isWhole(endpoint.port) && endpoint.port < 65536
}
function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0
}
function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText)
}
function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isShare(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < 100
}
