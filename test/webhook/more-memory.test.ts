import t from 'tap'
import type { Pod } from '../../webhook/pod.ts'
import { qosClassOf } from '../../webhook/quality-of-service.ts'
import { sampleConfig, samplePod } from './admission-fixtures.ts'
import { problemsOfCoreV1 } from './core-v1.ts'
import { inject } from './patched-pod.ts'

const config = sampleConfig()
const gibibyte = 1024 ** 3

type Lists = { limits?: Record<string, string>; requests?: Record<string, string> }

/** A pod with one container of these resources, as it is after admission by a webhook that knows what its lineage needs. */
function given(resources: Lists, needBytes: number, annotations: Record<string, string> = {}) {
  const pod = samplePod({ annotations })
  const [container] = pod.spec.containers
  if (container === undefined) throw new Error('the sample has no container')
  container.resources = resources
  const injection = inject(pod, config, 'pod', 'ml-team', undefined, new Map([[container.name, needBytes]]))
  if (injection === undefined) throw new Error('the pod was not injected')
  return { pod, injection, resources: injection.after.spec.containers[0]?.resources as Lists }
}

const classOf = (pod: Pod) => qosClassOf({ ...pod, spec: { ...pod.spec, initContainers: null } })

t.test('a container gets the limit that its lineage needs', async (t) => {
  const { resources, injection } = given({ limits: { memory: '1Gi' }, requests: { memory: '512Mi' } }, 1.5 * gibibyte) // prettier-ignore
  t.strictSame(resources, { limits: { memory: '1610612736' }, requests: { memory: '512Mi' } })
  t.same(problemsOfCoreV1('Pod', injection.after), [])
})

t.test('request and limit that are one stay one, and the pod keeps its class', async (t) => {
  const both = { cpu: '1', memory: '1Gi' }
  const { pod, resources, injection } = given({ limits: both, requests: both }, 2 * gibibyte)
  t.strictSame(resources.requests, { cpu: '1', memory: '2147483648' })
  t.equal(classOf(pod), 'Guaranteed')
  t.equal(classOf(injection.after), 'Guaranteed')
})

t.test('a limit is never lowered, nor raised above what the pod allows', async (t) => {
  const limits = { memory: '4Gi' }
  t.strictSame(given({ limits }, 2 * gibibyte).resources, { limits })
  t.strictSame(given({ limits }, 4 * gibibyte).resources, { limits })
  const bounded = given({ limits }, 64 * gibibyte, { 'reprieve.dev/memory-max': '6Gi' })
  t.strictSame(bounded.resources, { limits: { memory: String(6 * gibibyte) } })
  t.strictSame(given({ limits }, 64 * gibibyte).resources, { limits: { memory: String(16 * gibibyte) } }, 'four times') // prettier-ignore
})

t.test('a container without a limit is not given one', async (t) => {
  t.strictSame(given({ requests: { memory: '1Gi' } }, 2 * gibibyte).resources, { requests: { memory: '1Gi' } }) // prettier-ignore
})

type PodLists = { limits?: Record<string, unknown> | null; requests?: Record<string, unknown> | null }

/** As `given`, in a pod that has resources of its own. @param others of its other containers */
function within(
  own: PodLists,
  resources: Lists,
  needBytes: number,
  others: { resources: Lists }[] = [],
  annotations: Record<string, string> = {},
) {
  const pod = samplePod({ annotations: { 'reprieve.dev/containers': 'app', ...annotations } })
  const [container] = pod.spec.containers
  if (container === undefined) throw new Error('the sample has no container')
  const { limits, requests } = resources
  // Patched in place.
  Object.assign(container, { name: 'app', resources: JSON.parse(JSON.stringify({ limits, requests })) })
  pod.spec.resources = own
  pod.spec.containers.push(
    ...others.map((other, index) => ({ ...other, name: `other-${index}`, image: 'example.com/other' })),
  )
  const injection = inject(pod, config, 'pod', 'ml-team', undefined, new Map([['app', needBytes]]))
  if (injection === undefined) throw new Error('the pod was not injected')
  const { after } = injection
  const plan = JSON.stringify(after.spec.initContainers ?? [])
  const maxBytes = Number(/maxBytes\\*":(\d+)/.exec(plan)?.[1])
  return { resources: after.spec.containers[0]?.resources as Lists, maxBytes }
}

t.test(
  'no container is given more than its pod has: the API server would refuse every replacement',
  async (t) => {
    const limits = { memory: '1Gi' }
    const pod = { limits: { memory: '1536Mi' } }
    const most = 1.5 * gibibyte
    for (const need of [1.75 * gibibyte, 64 * gibibyte]) {
      const { resources, maxBytes } = within(pod, { limits, requests: { memory: '512Mi' } }, need)
      t.strictSame(resources, { limits: { memory: String(most) }, requests: { memory: '512Mi' } })
      t.equal(maxBytes, most, 'nor does its sidecar ask for more')
    }
    const asked = within(pod, { limits, requests: { memory: '0' } }, 8 * gibibyte, [], { 'reprieve.dev/memory-max': '6Gi' }) // prettier-ignore
    t.match(
      asked,
      { resources: { limits: { memory: String(most) } }, maxBytes: most },
      'whatever its memory-max',
    )
    const less = within(pod, { limits, requests: { memory: '0' } }, 1.25 * gibibyte)
    t.equal(less.resources.limits?.memory, String(1.25 * gibibyte), 'what fits is what is needed')
  },
)

t.test('a pod’s limit below that of its container lowers nothing', async (t) => {
  const limits = { memory: '2Gi' }
  const { resources, maxBytes } = within({ limits: { memory: '1Gi' } }, { limits }, 4 * gibibyte)
  t.strictSame(resources, { limits })
  t.equal(maxBytes, 2 * gibibyte)
})

t.test('a pod that limits other things than memory limits no memory', async (t) => {
  const limits = { memory: '1Gi' }
  for (const own of [
    {},
    { limits: null },
    { limits: { cpu: '1' } },
    { limits: { memory: null } },
    { limits: { memory: 'much' } },
    { limits: { memory: { toString: 0 } } },
  ])
    t.equal(within(own, { limits }, 2 * gibibyte).maxBytes, 4 * gibibyte, JSON.stringify(own))
})

t.test('the requests of all containers stay within what their pod requests', async (t) => {
  const one = { memory: '1Gi' }
  const both = { limits: one, requests: one }
  const requestOf = (own: PodLists, others: { resources: Lists }[] = []) =>
    within(own, both, 2 * gibibyte, others).resources.requests?.memory
  const limits = { memory: '8Gi' }
  t.equal(requestOf({ limits, requests: { memory: '4Gi' } }), String(2 * gibibyte), 'there is room')
  t.equal(requestOf({ limits, requests: { memory: '1Gi' } }), '1Gi', 'there is none')
  t.equal(requestOf({ limits, requests: { memory: '1536Mi' } }), String(1.5 * gibibyte), 'there is some')
  const others = [
    { resources: { requests: { memory: '512Mi' } } },
    { resources: { limits: { memory: '256Mi' } } },
  ]
  t.equal(
    requestOf({ limits, requests: { memory: '2Gi' } }, others),
    String(1.25 * gibibyte),
    'others have theirs',
  )
  t.equal(
    requestOf({ limits: { memory: '2Gi' } }, others),
    String(1.25 * gibibyte),
    'no pod requests more than its limit',
  )
  t.equal(requestOf({ limits: { cpu: '1' } }, others), String(2 * gibibyte))
})
