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
