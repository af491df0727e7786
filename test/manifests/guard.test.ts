/** The guard's configuration: its match conditions are evaluated here as the API server does, so that nothing else waits for the guard. */
import { readFileSync } from 'node:fs'
import { evaluate } from '@marcbachmann/cel-js'
import t from 'tap'
import { parse } from 'yaml'
import { judge } from '../../webhook/guard/judge.ts'
import { judgePodSecurity } from '../../webhook/guard/pod-security.ts'
import { injectedVolumes } from '../../webhook/mutate.ts'
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

type Requirement = { key: string; operator: string; values?: string[] }
type Entry = {
  name: string
  clientConfig: { service: { path: string } }
  rules: { operations: string[]; resources: string[] }[]
  matchConditions: { name: string; expression: string }[]
  objectSelector?: {
    matchLabels?: Record<string, string>
    matchExpressions?: { key: string; operator: string }[]
  }
  namespaceSelector?: { matchExpressions: Requirement[] }
  failurePolicy: string
}

const file = new URL('../../manifests/base/guard.yaml', import.meta.url)
const { webhooks } = parse(readFileSync(file, 'utf8')) as { webhooks: Entry[] }

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors */
function holds({ key, operator, values = [] }: Requirement, labels: Record<string, string>): boolean {
  const value = labels[key]
  if (operator === 'Exists') return value !== undefined
  const isIn = value !== undefined && values.includes(value)
  if (operator === 'NotIn') return !isIn
  if (operator !== 'In') throw new Error(`a selector has the operator ${operator}`)
  return isIn
}

/** Which entries the API server would ask about the request, by the labels of its namespace. */
function askedAbout(request: AdmissionRequest, namespaceLabels: Record<string, string> = {}): string[] {
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
    .filter(({ namespaceSelector }) =>
      (namespaceSelector?.matchExpressions ?? []).every((one) => holds(one, namespaceLabels)),
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
    ...injectedVolumes({ hostPath: { path: '/x', type: 'Directory' } }).map(
      ({ name }): [string, AdmissionRequest, string[]] => [
        `creation of a volume of our name: ${name}`,
        creating(samplePod({ spec: { ...bare.spec, volumes: [{ name, emptyDir: {} }] } })),
        ['pretence.reprieve.dev'],
      ],
    ),
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

t.test(
  'what names our containers fails closed, and the creation of a pod only where a namespace asks for it',
  async (t) => {
    t.same(
      webhooks.map(({ name, failurePolicy, clientConfig }) => [
        name,
        failurePolicy,
        clientConfig.service.path,
      ]),
      [
        ['exec.reprieve.dev', 'Fail', '/validate'],
        ['debug.reprieve.dev', 'Fail', '/validate'],
        ['update.reprieve.dev', 'Fail', '/validate'],
        ['image.reprieve.dev', 'Ignore', '/validate'],
        ['pretence.reprieve.dev', 'Ignore', '/validate'],
        ['baseline.pod-security.reprieve.dev', 'Fail', '/validate/pod-security/baseline'],
        ['restricted.pod-security.reprieve.dev', 'Fail', '/validate/pod-security/restricted'],
      ],
    )
  },
)

const labelled = (value: string, name = 'ml-team') => ({
  'kubernetes.io/metadata.name': name,
  'reprieve.dev/pod-security': value,
})

t.test('what pods run is sent in a namespace that is held to a standard, by everybody', async (t) => {
  const pod = samplePod()
  const cases: [string, AdmissionRequest, boolean][] = [
    ['a new pod', creating(pod), true],
    ['a new pod, by a master', { ...creating(pod), userInfo: master }, true],
    ['an ephemeral container', debugging(pod, [{ name: 'd' }]), true],
    ['another image', updating(pod, anotherImage), true],
    [
      'another image of an init container',
      updating(samplePod({ spec: { ...pod.spec, initContainers: [{ name: 'i', image: 'a' }] } }), (one) =>
        Object.assign(one.spec.initContainers?.[0] ?? {}, { image: 'b' }),
      ),
      true,
    ],
    ['a finalizer', updating(pod, (one) => Object.assign(one.metadata, { finalizers: [] })), false],
    [
      'a label',
      updating(protectedPod(), (one) => Object.assign(one.metadata.labels ?? {}, { a: 'b' })),
      false,
    ],
    ['exec', connecting({ container: 'main' }), false],
  ]
  for (const [name, request, isSent] of cases) {
    const of = (...standards: string[]) =>
      isSent ? standards.map((one) => `${one}.pod-security.reprieve.dev`) : []
    const asked = (labels: Record<string, string>) =>
      askedAbout(request, labels).filter((entry) => entry.includes('pod-security'))
    t.same(asked(labelled('baseline')), of('baseline'), name)
    t.same(asked(labelled('restricted')), of('restricted'), name)
    for (const unknown of ['Baseline', 'privilegd', ''])
      t.same(asked(labelled(unknown)), of('restricted'), `${name}: ${unknown} counts as the strictest`)
    t.same(asked(labelled('privileged')), [], name)
    t.same(asked({ 'kubernetes.io/metadata.name': 'ml-team' }), [], `${name}: without the label`)
    for (const system of ['kube-system', 'kube-public', 'kube-node-lease', 'reprieve-system'])
      t.same(asked(labelled('restricted', system)), [], `${name}: ${system}`)
  }
})

t.test('all that Kubernetes would judge anew of a running pod is sent', async (t) => {
  for (const { name, request } of recordedReviews()) {
    const isJudged = request.resource.resource === 'pods' && /^(?:CREATE|UPDATE) (?:ephemeralcontainers)?$/.test(`${request.operation} ${request.subResource ?? ''}`) // prettier-ignore
    const isSent = askedAbout(request, labelled('restricted')).includes(
      'restricted.pod-security.reprieve.dev',
    )
    if (isSent) t.ok(isJudged, `${name}: no more than is judged`)
    if (isJudged && request.operation === 'CREATE') t.ok(isSent, name)
    const isDenied = !judgePodSecurity(request, 'restricted', sampleConfig()).allowed
    if (isDenied) t.ok(isSent, `${name}: whatever would be denied is sent`)
  }
})
