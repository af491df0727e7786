/** The public contract where it is easy to break: who asks, by what, and what becomes of it, told through a real webhook. */
import t from 'tap'
import { annotationNames } from '../../src/annotations.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionResponse } from '../../webhook/review.ts'
import { skipReasons } from '../../webhook/skip-reasons.ts'
import { recorded, samplePod } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { applied } from './patched-pod.ts'
import { startWebhook } from './running-webhook.ts'

const { request } = recorded('create-bare-pod')
const native = { restartPolicy: 'Always' }
const words: (Record<string, string> | undefined)[] = [
  undefined,
  {},
  { 'reprieve.dev/checkpoint': 'false' },
  { 'reprieve.dev/checkpoint': 'x' },
]
const { client } = await startWebhook(t)

async function asked(change: object, path = '/mutate/pod'): Promise<AdmissionResponse> {
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { ...request, name: '', ...change },
  }
  return (await client.post(path, JSON.stringify(review))).review.response
}

function patched(pod: Pod, { patch = '' }: AdmissionResponse): Pod {
  return applied(
    pod,
    JSON.parse(Buffer.from(patch, 'base64').toString() || '[]') as Parameters<typeof applied>[1],
  )
}

t.test('every annotation that is wrong is told at once, with its value and what is accepted', async (t) => {
  const wrong: Record<string, string> = {
    'reprieve.dev/checkpoint': 'perhaps',
    'reprieve.dev/containers': 'no such container',
    'reprieve.dev/triggers': 'sunshine',
    'reprieve.dev/interval': 'often',
    'reprieve.dev/memory-threshold': '120%',
    'reprieve.dev/on-memory-pressure': 'panic',
    'reprieve.dev/memory-max': 'plenty',
    'reprieve.dev/store': '/etc',
    'reprieve.dev/keep': '0',
    'reprieve.dev/key': '../another',
    'reprieve.dev/restore': 'the best',
    'reprieve.dev/external-files': 'careful',
    'reprieve.dev/seccomp': 'none',
  }
  t.same(Object.keys(wrong).sort(), [...annotationNames].sort(), 'all that there are')
  const response = await asked({ object: samplePod({ annotations: wrong }) })
  t.equal(response.allowed, false)
  const message = response.status?.message ?? ''
  for (const [name, value] of Object.entries(wrong)) t.match(message, `${name} is "${value}"; accepted: `)
  t.equal(message.split(/\(\d+\) /).length - 1, annotationNames.length, 'each once')
})

t.test(
  'a pod that asks and cannot be protected is refused, one that its namespace opted in is admitted and told',
  async (t) => {
    const object = samplePod({ spec: { hostNetwork: true } })
    t.match(await asked({ object }), { allowed: false, status: { code: 422, reason: 'Invalid' }, auditAnnotations: { outcome: 'refuse', reasons: 'host-network' } }) // prettier-ignore
    delete object.metadata.annotations
    const admitted = await asked({ object }, '/mutate/namespace')
    t.match(admitted, { allowed: true, warnings: [/^reprieve: this pod is not protected: hostNetwork/], auditAnnotations: { outcome: 'skip', reasons: 'host-network' } }) // prettier-ignore
    t.notOk(admitted.patch)
  },
)

t.test(
  'a pod with generateName needs a controller or a key, and its namespace may be the request’s only',
  async (t) => {
    const metadata = { name: null, generateName: 'train-' }
    t.match(await asked({ object: samplePod({ metadata }) }), {
      allowed: false,
      auditAnnotations: { reasons: 'lineage-unknown' },
    })
    const object = samplePod({ metadata })
    delete object.metadata.name
    object.metadata.annotations = { ...object.metadata.annotations, 'reprieve.dev/key': 'train' }
    const response = await asked({ object })
    t.equal(response.auditAnnotations?.lineage, 'ml-team/key/train')
    t.same(problemsOfCoreV1('Pod', patched(object, response)), [])
  },
)

t.test('what is no creation of a pod is allowed without a word', async (t) => {
  const names = [
    'update-pod-job-finalizer',
    'update-resize',
    'update-ephemeralcontainers',
    'create-eviction',
    'delete-pod',
    'connect-exec',
  ]
  for (const name of names) {
    const { uid, ...other } = recorded(name).request
    t.match(await asked({ uid, ...other }), { uid, allowed: true, auditAnnotations: { outcome: 'skip', reasons: 'not-a-pod-creation' } }, name) // prettier-ignore
  }
})

t.test('a dry run is answered word for word as the creation is', async (t) => {
  const object = samplePod()
  t.same(await asked({ object, dryRun: true }), await asked({ object, dryRun: false }))
})

t.test('several containers among sidecars of others, init containers and volumes of their own', async (t) => {
  const object = samplePod({
    annotations: {
      'reprieve.dev/containers': 'worker,main',
      'kubectl.kubernetes.io/default-container': 'proxy',
    },
    spec: {
      initContainers: [
        { name: 'fetch', image: 'fetch:1' },
        { name: 'istio-proxy', image: 'proxy:1', ...native },
      ],
      containers: [
        { name: 'proxy', image: 'proxy:1', args: ['run'] },
        {
          name: 'main',
          image: 'ml-app:1',
          command: ['python3'],
          volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
        },
        {
          name: 'worker',
          image: 'ml-app:1',
          command: ['worker'],
          volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
        },
      ],
      volumes: [{ name: 'scratch', emptyDir: {} }],
    },
  })
  const after = patched(object, await asked({ object }))
  t.same([...problemsOfCoreV1('Pod', after), ...problemsBeyondSchema(after)], [])
  t.same(
    after.spec.initContainers?.map(({ name }) => name),
    ['reprieve-restore', 'reprieve-sidecar', 'fetch', 'istio-proxy'],
  )
  t.strictSame(after.spec.containers[0], object.spec.containers[0])
  for (const container of after.spec.containers.slice(1))
    t.equal(container.command?.[0], '/reprieve/bin/launcher')
  t.match(after.spec.volumes, [{ name: 'scratch' }, { name: 'reprieve' }, { name: 'reprieve-store' }])
})

t.test('the reasons are a closed set: every one that an answer or a metric gives is in it', async (t) => {
  const seen = new Set<string>()
  for (const path of ['/mutate/pod', '/mutate/namespace', '/mutate/restricted-namespace'])
    for (const spec of [
      {},
      { hostNetwork: true },
      { hostPID: true, hostIPC: true },
      { os: { name: 'windows' } },
    ])
      for (const annotations of words) {
        const object = samplePod({ spec })
        if (annotations === undefined) delete object.metadata.annotations
        else object.metadata.annotations = annotations
        const { auditAnnotations: { reasons } = {} } = await asked({ object }, path)
        for (const reason of reasons?.split(',') ?? []) seen.add(reason)
      }
  t.ok(seen.size > 6, [...seen].join())
  t.same(
    [...seen].filter((reason) => !Object.hasOwn(skipReasons, reason)),
    [],
  )
})
