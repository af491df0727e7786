/** The guard's configuration: its match conditions are evaluated here as the API server does, so that nothing else waits for the guard. */
import { readFileSync } from 'node:fs'
import { evaluate } from '@marcbachmann/cel-js'
import t from 'tap'
import { parse } from 'yaml'
import { judge } from '../../webhook/guard/judge.ts'
import type { Pod } from '../../webhook/pod.ts'
import type { AdmissionRequest } from '../../webhook/review.ts'
import { recordedReviews, sampleConfig, samplePod } from '../webhook/admission-fixtures.ts'
import {
  connecting,
  containerIn,
  creating,
  debugging,
  master,
  protectedPod,
  updating,
} from '../webhook/guard/requests.ts'

type Entry = {
  name: string
  clientConfig: { service: { path: string } }
  rules: { operations: string[]; resources: string[] }[]
  matchConditions: { name: string; expression: string }[]
  objectSelector?: {
    matchLabels?: Record<string, string>
    matchExpressions?: { key: string; operator: string }[]
  }
  failurePolicy: string
}

const file = new URL('../../manifests/base/guard.yaml', import.meta.url)
const { webhooks } = parse(readFileSync(file, 'utf8')) as { webhooks: Entry[] }

/** Which entries the API server would ask about the request. */
function askedAbout(request: AdmissionRequest): string[] {
  const resource = [request.resource.resource, request.subResource].filter(Boolean).join('/')
  const labels = [request.object, request.oldObject].map(
    (object) => (object as { metadata?: { labels?: object } } | null)?.metadata?.labels ?? {},
  )
  return webhooks
    .filter(({ rules }) =>
      rules.some(
        ({ operations, resources }) => operations.includes(request.operation) && resources.includes(resource),
      ),
    )
    .filter(({ objectSelector: { matchLabels = {}, matchExpressions = [] } = {} }) =>
      // Either of the two, before or after.
      labels.some(
        (each) =>
          matchExpressions.every(({ key, operator }) => operator === 'Exists' && Object.hasOwn(each, key)) &&
          Object.entries(matchLabels).every(([key, value]) => Reflect.get(each, key) === value),
      ),
    )
    .filter(({ matchConditions }) =>
      matchConditions.every(({ expression }) => {
        const { object, oldObject } = request
        return evaluate(expression, { request, object, oldObject }) === true
      }),
    )
    .map(({ name }) => name)
}

t.test('only a request that is about Reprieve’s own is sent, each to one entry', async (t) => {
  const injected = protectedPod()
  const bare = samplePod()
  const labelled = samplePod({ metadata: { labels: { 'reprieve.dev/injected': 'true' } } })
  const unlabelled = protectedPod()
  delete unlabelled.metadata.labels
  const cases: [string, AdmissionRequest, string[]][] = [
    ['exec into the sidecar', connecting({ container: 'reprieve-sidecar' }), ['exec.reprieve.dev']],
    [
      'attach to the restorer',
      connecting({ container: 'reprieve-restore' }, 'attach'),
      ['exec.reprieve.dev'],
    ],
    ['exec into main', connecting({ container: 'main' }), []],
    ['exec without a container', connecting({}), []],
    ['debug a protected pod', debugging(injected, [{ name: 'd' }]), ['debug.reprieve.dev']],
    ['debug another pod', debugging(bare, [{ name: 'd' }]), []],
    [
      'another image for the sidecar',
      updating(injected, (pod) => (containerIn(pod, 'reprieve-sidecar').image = 'x')),
      ['update.reprieve.dev'],
    ],
    [
      'another image for the sidecar, once an update of its status has taken the label away',
      updating(unlabelled, (pod) => (containerIn(pod, 'reprieve-sidecar').image = 'x')),
      ['update.reprieve.dev'],
    ],
    [
      'the sidecar gone',
      updating(injected, (pod) => delete pod.spec.initContainers),
      ['update.reprieve.dev'],
    ],
    ['label taken off', updating(injected, (pod) => delete pod.metadata.labels), ['update.reprieve.dev']],
    [
      'label put on',
      updating(bare, (pod) => (pod.metadata.labels = { 'reprieve.dev/injected': 'true' })),
      ['update.reprieve.dev'],
    ],
    [
      'finalizer of a protected pod',
      updating(injected, (pod) => Object.assign(pod.metadata, { finalizers: [] })),
      [],
    ],
    ['another pod’s labels', updating(bare, (pod) => (pod.metadata.labels = { a: 'b' })), []],
    ['creation of a protected pod', creating(injected), ['pretence.reprieve.dev']],
    ['creation with the label alone', creating(labelled), ['pretence.reprieve.dev']],
    ['creation of another pod', creating(bare), []],
    [
      'creation of a container of our name among the main ones',
      creating(samplePod({ spec: { containers: [{ name: 'reprieve-sidecar', image: 'x' }] } })),
      ['pretence.reprieve.dev'],
    ],
    [
      'creation of a volume of our name',
      creating(samplePod({ spec: { ...bare.spec, volumes: [{ name: 'reprieve-store', emptyDir: {} }] } })),
      ['pretence.reprieve.dev'],
    ],
    [
      'debug another pod under our name',
      debugging(bare, [{ name: 'reprieve-sidecar' }]),
      ['debug.reprieve.dev'],
    ],
  ]
  for (const [name, request, expected] of cases) {
    t.same(askedAbout(request), expected, name)
    t.same(askedAbout({ ...request, userInfo: master }), [], `${name}, by a master`)
    const nobodyAtAll = askedAbout({ ...request, userInfo: {} })
    t.same(nobodyAtAll, expected, `${name}, by somebody without groups`)
  }
})

function anotherImage(pod: Pod): void {
  Object.assign(pod.spec.containers[0] ?? {}, { image: 'ml-app:2' })
}

t.test(
  'whoever changes an image of a protected pod is asked about, masters as well, and nobody else',
  async (t) => {
    const injected = protectedPod()
    const request = updating(injected, anotherImage)
    t.same(askedAbout(request), ['image.reprieve.dev'])
    t.same(askedAbout({ ...request, userInfo: master }), ['image.reprieve.dev'])
    t.same(askedAbout(updating(samplePod(), anotherImage)), [], 'not of another pod')
    t.same(
      askedAbout(updating(injected, (pod) => (pod.metadata.labels = { ...pod.metadata.labels, a: 'b' }))),
      [],
    )
  },
)

t.test('whatever would be denied is sent, and of the recorded reviews none is', async (t) => {
  const config = sampleConfig()
  for (const { name, request } of recordedReviews()) t.same(askedAbout(request), [], name)
  const denied = [
    connecting({ container: 'reprieve-restore' }),
    debugging(protectedPod(), [{ name: 'd', targetContainerName: 'reprieve-sidecar' }]),
    updating(protectedPod(), (pod) => (pod.metadata.labels = {})),
    creating(protectedPod(), 'elsewhere'),
    creating(samplePod({ spec: { containers: [{ name: 'reprieve-restore', image: 'x' }] } })),
    debugging(samplePod(), [{ name: 'reprieve-restore' }]),
  ]
  for (const request of denied) {
    t.notOk(judge(request, config).allowed)
    t.equal(askedAbout(request).length, 1)
  }
})

t.test('what names our containers fails closed, and the creation of a pod never does', async (t) => {
  t.same(
    webhooks.map(({ name, failurePolicy, clientConfig }) => [name, failurePolicy, clientConfig.service.path]),
    [
      ['exec.reprieve.dev', 'Fail', '/validate'],
      ['debug.reprieve.dev', 'Fail', '/validate'],
      ['update.reprieve.dev', 'Fail', '/validate'],
      ['image.reprieve.dev', 'Ignore', '/validate'],
      ['pretence.reprieve.dev', 'Ignore', '/validate'],
    ],
  )
})
