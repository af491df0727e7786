/** What is added to a protected container so that what its program does by default can be saved. */
import t from 'tap'
import type { Container, Pod } from '../../webhook/pod.ts'
import { sampleConfig, samplePod } from './admission-fixtures.ts'
import { inject, type Injection } from './patched-pod.ts'

const config = sampleConfig()

function injected(pod: Pod): Injection {
  const injection = inject(pod, config)
  if (injection === undefined) throw new Error('the pod was not injected')
  return injection
}

const first = (container: object, rest: Parameters<typeof samplePod>[0] = {}) => {
  const { after } = injected(samplePod({ ...rest, container }))
  return after.spec.containers[0] as Container & { env?: object[] }
}
const add = (...names: string[]) => ({ securityContext: { capabilities: { add: names } } })
const given = (pod: Pod) => injected(pod).after.spec.initContainers?.[1]?.securityContext

t.test('Go listens without MPTCP, and keeps what else GODEBUG says', async (t) => {
  const plain = { name: 'GODEBUG', value: 'multipathtcp=0' }
  const reference = { name: 'GODEBUG', valueFrom: { configMapKeyRef: { name: 'go', key: 'debug' } } }
  const other = { name: 'A', value: 'b' }
  const cases: [string, unknown, unknown][] = [
    ['no environment', undefined, [plain]],
    ['a null one', null, [plain]],
    ['another variable', [other], [other, plain]],
    ['an empty value', [{ name: 'GODEBUG' }], [plain]],
    ['another setting', [{ name: 'GODEBUG', value: 'http2client=0' }], [{ name: 'GODEBUG', value: 'http2client=0,multipathtcp=0' }]],
    ['its own word on MPTCP', [{ name: 'GODEBUG', value: 'a=1, multipathtcp=2' }], [{ name: 'GODEBUG', value: 'a=1, multipathtcp=2' }]],
    ['a value from elsewhere', [reference], [reference]],
    ['twice, of which the last counts', [plain, { name: 'GODEBUG', value: 'a=1' }], [plain, { name: 'GODEBUG', value: 'a=1,multipathtcp=0' }]],
  ] // prettier-ignore
  for (const [name, env, expected] of cases) t.same(first({ env }).env, expected, name)
})

t.test(
  'a container without a seccomp profile is given the runtime’s own, and its owner is told',
  async (t) => {
    const { after, warnings } = injected(samplePod())
    t.same(after.spec.containers[0]?.securityContext, { seccompProfile: { type: 'RuntimeDefault' } })
    t.match(warnings, [/^main: no seccomp profile was set.*reprieve\.dev\/seccomp: keep/])
    t.same(first({ securityContext: { runAsUser: 5 } }).securityContext, {
      runAsUser: 5,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    t.same(first({ securityContext: null }).securityContext, { seccompProfile: { type: 'RuntimeDefault' } })
  },
)

t.test(
  'a profile that is set is kept, and so is none where that is asked for or nothing comes of one',
  async (t) => {
    const unconfined = { seccompProfile: { type: 'Unconfined' } }
    const cases: [string, Pod][] = [
      ['of the container', samplePod({ container: { securityContext: unconfined } })],
      ['of the pod', samplePod({ spec: { securityContext: unconfined } })],
      ['asked for', samplePod({ annotations: { 'reprieve.dev/seccomp': 'keep' } })],
      ['privileged', samplePod({ container: { securityContext: { privileged: true } } })],
    ]
    for (const [name, pod] of cases) {
      const { after, warnings } = injected(pod)
      t.same(after.spec.containers[0]?.securityContext, pod.spec.containers[0]?.securityContext, name)
      t.notMatch(warnings, [/seccomp/], name)
    }
    const said = injected(samplePod({ annotations: { 'reprieve.dev/seccomp': 'default' } }))
    t.match(said.warnings, [/RuntimeDefault/])
  },
)

t.test('the sidecar may do what a protected container may, and no more', async (t) => {
  const base = (given(samplePod()) as { capabilities: { add: string[] } }).capabilities.add
  const of = (container: object) =>
    (given(samplePod({ container })) as { capabilities: { add: string[] } }).capabilities.add
  t.same(of(add('CAP_SYS_NICE', 'ipc_lock', 'CHOWN', 'NO_SUCH')), [...base, 'IPC_LOCK', 'SYS_NICE'])
  t.same(of(add('ALL')), ['ALL'])
  t.same(of({ securityContext: { privileged: true } }), ['ALL'])
  t.same(of({}), base, 'and what one pod adds is not the next one’s')
  const beside = samplePod({ annotations: { 'reprieve.dev/containers': 'main' } })
  beside.spec.containers.push({ name: 'beside', image: 'x', ...add('SYS_NICE') })
  t.same(
    (given(beside) as { capabilities: { add: string[] } }).capabilities.add,
    base,
    'nor what a neighbour may',
  )
})
