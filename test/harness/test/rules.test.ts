import t from 'tap'
import { expand } from '../environment.ts'
import { parseQuantity } from '../quantity.ts'
import { backoffMs, phaseOf, shouldRestart, type ContainerState, type ContainerStatus } from '../status.ts'

const status = (name: string, state: ContainerState, lastState?: ContainerState): ContainerStatus => {
  return { name, state, lastState, restartCount: 0, started: state.kind === 'running', ready: false }
}
const running: ContainerState = { kind: 'running', startedAtMs: 0, pid: 2 }
const waiting: ContainerState = { kind: 'waiting', reason: '', message: '' }
const ended = (exitCode: number): ContainerState => {
  return { kind: 'terminated', exitCode, reason: '', message: '', startedAtMs: 0, finishedAtMs: 0 }
}

const phase = (
  restartPolicy: string,
  states: ContainerState[],
  isTerminal = false,
  last?: ContainerState,
) => {
  const containers = states.map((_, index) => ({ name: `c${index}`, image: 'x' }))
  return phaseOf({ restartPolicy, containers }, [], states.map((state, index) => status(`c${index}`, state, last)), isTerminal) // prettier-ignore
}

t.test('the phase follows the kubelet’s getPhase', async (t) => {
  t.equal(phase('Never', [waiting]), 'Pending')
  t.equal(phase('Never', [running, waiting]), 'Pending')
  t.equal(phase('Never', [running, ended(1)]), 'Running')
  t.equal(phase('Never', [ended(0), ended(0)]), 'Succeeded')
  t.equal(phase('Never', [ended(0), ended(1)]), 'Failed')
  t.equal(phase('OnFailure', [ended(0), ended(1)]), 'Running')
  t.equal(phase('OnFailure', [ended(0)]), 'Succeeded')
  t.equal(phase('Always', [ended(0)]), 'Running')
  t.equal(phase('Always', [waiting], false, ended(1)), 'Running')
  t.equal(phase('Always', [ended(0)], true), 'Succeeded')
  t.equal(phase('Always', [ended(143)], true), 'Failed')
})

t.test(
  'restarts: sidecars always, init containers until they succeed, main containers by the policy',
  async (t) => {
    t.ok(shouldRestart('sidecar', 'Never', 0))
    t.notOk(shouldRestart('init', 'Always', 0))
    t.ok(shouldRestart('init', 'OnFailure', 1))
    t.notOk(shouldRestart('init', 'Never', 1))
    t.ok(shouldRestart('main', 'Always', 0))
    t.notOk(shouldRestart('main', 'OnFailure', 0))
    t.ok(shouldRestart('main', 'OnFailure', 1))
    t.notOk(shouldRestart('main', 'Never', 1))
  },
)

t.test('back-off: at once, then 10 s, doubled up to 5 min, forgotten after 10 min of running', async (t) => {
  t.same(
    [1, 2, 3, 4, 5, 6, 7, 8].map((crashes) => backoffMs(crashes, 0) / 1000),
    [0, 10, 20, 40, 80, 160, 300, 300],
  )
  t.equal(backoffMs(8, 600_001), 0)
})

t.test('variables expand as Kubernetes says', async (t) => {
  const known = { A: 'a', EMPTY: '' }
  for (const [text, expected] of [
    ['$(A)-$(EMPTY)-$(NO)', 'a--$(NO)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$A $', '$A $'],
    ['$(A', '$(A'],
    ['$(toString)', '$(toString)'],
  ] as const)
    t.equal(expand(text, known), expected, text)
})

t.test('quantities', async (t) => {
  t.same(['1.5Gi', '250m', '1e3', 128, '2k', '0'].map(parseQuantity), [
    1.5 * 2 ** 30,
    0.25,
    1000,
    128,
    2000,
    0,
  ])
  for (const bad of ['', 'abc', '1 Gi', '1X'])
    t.throws(() => parseQuantity(bad), /not a Kubernetes quantity/, bad)
})
