/** Each example, made into pods as its controller makes them, goes through a real webhook; and it is one annotation that does it. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { admit } from '../../webhook/admit.ts'
import type { Entrypoints } from '../../webhook/entrypoints.ts'
import type { Operation } from '../../webhook/patch-text.ts'
import type { Pod } from '../../webhook/pod.ts'
import { read } from '../docs/documents.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from '../webhook/core-v1.ts'
import { applied, unnamed } from '../webhook/patched-pod.ts'
import { startWebhook } from '../webhook/running-webhook.ts'
import { manifests, objectsIn, type Manifest } from './rendered.ts'
import { problemsOfKubernetes } from './schemas.ts'

const checkpoint = 'reprieve.dev/checkpoint'
const names = readdirSync(join(manifests, 'examples'))
const examples = names.map((file) => {
  const [object, ...more] = objectsIn(`examples/${file}`)
  if (object === undefined || more.length > 0) throw new Error(`${file} has ${more.length + 1} objects`)
  return { file, object, text: readFileSync(join(manifests, 'examples', file), 'utf8') }
})

type Template = { metadata: Pod['metadata']; spec: Pod['spec'] }
type Workload = {
  spec: { template?: Template; completionMode?: string; jobTemplate?: { spec: { template: Template } } }
}

/** As the controllers of Kubernetes 1.36 make it; test/fixtures/admission has recorded ones. */
function podOf({ kind, apiVersion, metadata: { name }, spec }: Manifest & Workload): Pod {
  const { metadata, spec: podSpec } = spec.jobTemplate?.spec.template ??
    spec.template ?? { metadata: {}, spec: { containers: [] } }
  const owned = (ownerKind: string, owner: string, own: Pod['metadata']): Pod =>
    structuredClone({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...metadata,
        ...own,
        annotations: { ...metadata.annotations, ...own.annotations },
        labels: { ...metadata.labels, ...own.labels },
        ownerReferences: [
          {
            apiVersion,
            kind: ownerKind,
            name: owner,
            uid: 'a673c3fb-1e23-48c4-9f16-dcd8fee36344',
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec: podSpec,
    })
  switch (kind) {
    case 'StatefulSet':
      return withClaims(owned(kind, name, { name: `${name}-0` }), spec)
    case 'Deployment':
      return owned('ReplicaSet', `${name}-7d4b9c6f5d`, {
        generateName: `${name}-7d4b9c6f5d-`,
        labels: { 'pod-template-hash': '7d4b9c6f5d' },
      })
    case 'Job': {
      if (spec.completionMode !== 'Indexed') return owned(kind, name, { generateName: `${name}-` })
      const annotations = { 'batch.kubernetes.io/job-completion-index': '3' }
      return owned(kind, name, { generateName: `${name}-3-`, annotations })
    }
    case 'CronJob':
      return owned('Job', `${name}-29921686`, { generateName: `${name}-29921686-` })
    default:
      throw new Error(`no controller of ${kind} is known here`)
  }
}

/** The StatefulSet controller adds a volume for each of its claims. */
function withClaims(pod: Pod, spec: object): Pod {
  const { volumeClaimTemplates = [] } = spec as { volumeClaimTemplates?: { metadata: { name: string } }[] }
  const volumes = volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: `${name}-${pod.metadata.name}` },
  }))
  return { ...pod, spec: { ...pod.spec, volumes: [...(pod.spec.volumes ?? []), ...volumes] } }
}

/** What the images of containers without a command run: the registry's part, which test/webhook/registry has. */
const entrypoints: Entrypoints = new Map([
  [
    'notebook',
    { known: true, command: { entrypoint: ['tini', '-g', '--', 'start.sh'], cmd: ['start-notebook.py'] } },
  ],
])

const { client } = await startWebhook(t, {
  admit: (request, optedInBy, config) => admit(request, optedInBy, config, { entrypoints }),
})

async function admitted(pod: Pod): Promise<{ warnings: string[]; operations: Operation[] }> {
  const resource = { group: '', version: 'v1', resource: 'pods' }
  const request = {
    uid: '8cb793b6-03fa-4a04-ba1f-dd73e4a91b7d',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource,
    namespace: 'ml-team',
    operation: 'CREATE',
    object: pod,
    dryRun: false,
  }
  const text = JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request })
  const { response } = (await client.post('/mutate/pod', text)).review
  t.equal(response.allowed, true, response.status?.message ?? 'allowed')
  const patch = response.patch === undefined ? '[]' : Buffer.from(response.patch, 'base64').toString()
  return { warnings: response.warnings ?? [], operations: JSON.parse(patch) as Operation[] }
}

t.test('every example is what Kubernetes takes, and is shown in the README', async (t) => {
  t.same(await problemsOfKubernetes(examples.map(({ object }) => object)), [])
  const kinds = new Set(examples.map(({ object }) => object.kind))
  for (const kind of ['Job', 'StatefulSet', 'Deployment', 'CronJob']) t.ok(kinds.has(kind), kind)
  for (const { file, text } of examples) {
    t.match(read('README.md'), `(manifests/examples/${file})`)
    t.match(text, /^# .{60,}/, `${file} says what it is for`)
  }
})

t.test('the pods of every example are protected, whole, and valid', async (t) => {
  for (const { file, object } of examples) {
    const pod = podOf(object as Manifest & Workload)
    t.same(problemsOfCoreV1('Pod', pod), [], file)
    const { warnings, operations } = await admitted(pod)
    const after = applied(pod, operations)
    t.same([...problemsOfCoreV1('Pod', after), ...problemsBeyondSchema(after)], [], file)
    t.equal(after.metadata.labels?.['reprieve.dev/injected'], 'true', file)
    const [container] = after.spec.containers
    t.equal(container?.command?.[0], '/reprieve/bin/launcher', file)
    t.strictSame(
      unnamed(after, [container?.name ?? '']),
      unnamed(pod, [container?.name ?? '']),
      `${file}: nothing else`,
    )
    // Two that share a lineage are the owner's to avoid, and each example says how.
    const isOneOfMany = object.kind === 'StatefulSet' || pod.metadata.generateName?.endsWith('-3-')
    t.same(
      warnings.filter((warning) => !warning.includes('share one lineage')),
      [],
      file,
    )
    t.equal(warnings.length === 0, isOneOfMany === true, file)
  }
})

t.test(
  'the one annotation is the point: without it nothing happens, and nothing else is needed',
  async (t) => {
    for (const { file, object, text } of examples) {
      const pod = podOf(object as Manifest & Workload)
      const only = { ...pod.metadata.annotations }
      for (const name of Object.keys(only))
        if (name.startsWith('reprieve.dev/') && name !== checkpoint) delete only[name]
      const lean = { ...pod, metadata: { ...pod.metadata, annotations: only } }
      t.ok((await admitted(lean)).operations.length > 5, file)
      const { [checkpoint]: _, ...others } = only
      const silent = { ...pod, metadata: { ...pod.metadata, annotations: others } }
      t.same((await admitted(silent)).operations, [], file)
      t.equal(text.match(/reprieve\.dev\/checkpoint: 'true'/g)?.length, 1, file)
    }
  },
)
