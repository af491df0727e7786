/** The queue of one container, by a clock that the test moves. */
import t, { type Test } from 'tap'
import { fakeClock } from '../../fake-clock.ts'
import { Deadline } from '../../../src/deadline.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../sidecar/checkpoint/request.ts'
import { answerGraceMs, CheckpointQueue, type Situation } from '../../../sidecar/container/queue.ts'

const realImmediate = setImmediate
const failed = (reason: string): CheckpointOutcome => ({ outcome: 'failed', reason, detail: reason })

type Begun = { request: CheckpointRequest; over: (outcome: CheckpointOutcome) => void; atMs: number }

async function turn() {
  for (let count = 0; count < 10; count++) await new Promise((resolve) => realImmediate(resolve))
}

function world(t: Test) {
  const clock = fakeClock(t, { stepMs: 50 })
  let situation: Situation = 'running'
  const begun: Begun[] = []
  let brokenOff = 0
  const queue = new CheckpointQueue({
    situation: () => situation,
    begin: (request) => new Promise((over) => begun.push({ request, over, atMs: clock.ms() })),
    breakOff: () => {
      brokenOff++
      begun.at(-1)?.over(failed('store-failed'))
    },
  })
  const answers: Record<string, CheckpointOutcome> = {}
  const ask = (trigger: string, more: Partial<CheckpointRequest> = {}) => {
    const request = { trigger, reason: trigger, afterwards: 'resume', deadline: Deadline.in(60_000), ...more } as const // prettier-ignore
    void queue.ask(request).then((outcome) => (answers[trigger] = outcome))
  }
  return {
    queue,
    begun,
    answers,
    ask,
    brokenOff: () => brokenOff,
    is: (next: Situation) => {
      situation = next
      queue.look()
    },
    pass: (ms: number) => clock.pass(ms),
    over: async (outcome: CheckpointOutcome) => {
      begun.at(-1)?.over(outcome)
      await turn()
    },
  }
}
const taken = (id: string): CheckpointOutcome => ({ outcome: 'taken', id, phases: {} })
const triggers = (begun: readonly Begun[]) => begun.map(({ request }) => request.trigger)

t.test('what waits is joined, and the most urgent of it is taken', async (t) => {
  const { ask, begun, over, answers } = world(t)
  ask('manual')
  for (const trigger of ['interval', 'node-memory', 'memory', 'spot']) ask(trigger)
  await over(taken('one'))
  t.strictSame(triggers(begun), ['manual', 'memory'])
  await over(taken('two'))
  t.strictSame(triggers(begun), ['manual', 'memory'], 'once for all of them')
  t.match(answers, { manual: { id: 'one' }, interval: { id: 'two' }, spot: { id: 'two' } })
})

t.test('a request that ends the application comes first, and serves all others', async (t) => {
  const { ask, begun, over, is, answers } = world(t)
  ask('manual')
  ask('memory')
  ask('prestop', { afterwards: 'end' })
  await over(taken('one'))
  t.strictSame(triggers(begun), ['manual', 'prestop'])
  ask('interval')
  const last = { ...taken('two'), ended: true } as const
  is({ endedWith: last })
  await over(last)
  ask('spot', { afterwards: 'end' })
  await over(last)
  t.match(answers, {
    memory: { id: 'two' },
    prestop: { id: 'two' },
    interval: { id: 'two' },
    spot: { id: 'two' },
  })
})

t.test('it breaks off what is only being stored, not what is being dumped', async (t) => {
  const { queue, ask, begun, over, brokenOff, answers } = world(t)
  ask('interval')
  ask('prestop', { afterwards: 'end' })
  t.equal(brokenOff(), 0)
  queue.storing()
  await over(failed('ignored: it is over'))
  t.equal(brokenOff(), 1)
  t.strictSame(triggers(begun), ['interval', 'prestop'])
  await over(taken('last'))
  t.match(answers, { interval: { id: 'last' }, prestop: { id: 'last' } })
})

t.test('it breaks off nothing where less time is left than that has taken already', async (t) => {
  const { queue, ask, begun, over, brokenOff, answers, pass } = world(t)
  ask('interval')
  queue.storing()
  await pass(5_000)
  ask('prestop', { afterwards: 'end', deadline: Deadline.in(4_000) })
  t.equal(brokenOff(), 0)
  await over(taken('one'))
  t.match(answers, { interval: { id: 'one' } })
  t.strictSame(triggers(begun), ['interval', 'prestop'])
})

t.test('nothing else stops the application between the tries of a request that ends it', async (t) => {
  const { ask, begun, over, answers, pass } = world(t)
  ask('prestop', { afterwards: 'end', retryPausesMs: [1_000] })
  await over(failed('dump-failed'))
  ask('memory')
  await pass(900)
  t.strictSame(triggers(begun), ['prestop'])
  await pass(200)
  await over(taken('last'))
  t.match(answers, { prestop: { id: 'last' }, memory: { id: 'last' } })
})

t.test('what goes on waits while another is being stored', async (t) => {
  const { queue, ask, begun, over, brokenOff } = world(t)
  ask('interval')
  queue.storing()
  ask('memory')
  t.equal(brokenOff(), 0)
  t.strictSame(triggers(begun), ['interval'])
  await over(taken('one'))
  t.strictSame(triggers(begun), ['interval', 'memory'])
})

t.test('a periodic request is content with what is under way', async (t) => {
  const { ask, begun, over, answers } = world(t)
  ask('manual')
  ask('interval', { joinsUnderWay: true })
  await over(taken('one'))
  t.strictSame(triggers(begun), ['manual'])
  t.match(answers, { interval: { id: 'one' } })
})

t.test('without a running application a request is refused', async (t) => {
  const { ask, begun, is, answers, pass } = world(t)
  is('not-running')
  ask('manual')
  await pass(50)
  t.match(answers, { manual: { reason: 'not-running' } })
  t.strictSame(triggers(begun), [])
})

t.test('what ends the application is tried again, ever more slowly; what goes on is not', async (t) => {
  const { ask, begun, over, answers, pass } = world(t)
  ask('manual')
  await over(failed('dump-failed'))
  t.match(answers, { manual: { reason: 'dump-failed' } })
  ask('prestop', { afterwards: 'end' })
  for (let count = 0; count < 4; count++) {
    await over(failed('dump-failed'))
    await pass(5_000)
  }
  t.strictSame(begun.slice(1).map(({ atMs }) => atMs), [0, 200, 5_000 + 1_000, 10_000 + 3_000]) // prettier-ignore
  t.match(answers, { prestop: { reason: 'dump-failed' } })
})

t.test('a pause does not outlast the deadline, nor begins what comes to nothing', async (t) => {
  const { ask, begun, over, answers, pass } = world(t)
  ask('prestop', { afterwards: 'end', deadline: Deadline.in(1_600), retryPausesMs: [30_000, 30_000] })
  await over(failed('dump-failed'))
  await pass(1_100)
  t.equal(begun.length, 2)
  await over(failed('dump-failed'))
  t.match(answers, { prestop: { reason: 'dump-failed' } })
})

t.test('a request is judged anew when its turn has come', async (t) => {
  const { ask, begun, over, answers } = world(t)
  ask('manual')
  let isOver = false
  const terms = { reason: 'by then', afterwards: 'end', deadline: Deadline.in(9_000) } as const
  ask('spot', { atTurn: () => (isOver ? { passOver: 'it was withdrawn' } : terms) })
  ask('memory', { atTurn: () => ({ passOver: 'there is room again' }) })
  await over(taken('one'))
  t.match(begun[1]?.request, { trigger: 'spot', reason: 'by then', afterwards: 'end' })
  isOver = true
  await over(failed('dump-failed'))
  t.match(answers, { memory: { reason: 'passed-over', detail: 'there is room again' } })
})

t.test('every request is answered by its deadline, whatever hangs', async (t) => {
  const { ask, begun, over, answers, pass } = world(t)
  ask('manual', { deadline: Deadline.in(600_000) })
  ask('spot', { deadline: Deadline.in(1_000) })
  await pass(1_000 + answerGraceMs)
  t.match(answers, { spot: { reason: 'deadline-passed' } })
  t.notOk('manual' in answers)
  await over(taken('one'))
  t.strictSame(triggers(begun), ['manual'], 'and is not tried any more')
})

t.test('what was joined to a request with less time has its own afterwards', async (t) => {
  const { ask, begun, over, answers } = world(t)
  ask('manual')
  ask('memory', { deadline: Deadline.in(2_000) })
  ask('interval', { deadline: Deadline.in(600_000) })
  await over(taken('one'))
  await over(failed('deadline-passed'))
  t.match(answers, { memory: { reason: 'deadline-passed' } })
  t.strictSame(triggers(begun), ['manual', 'memory', 'interval'])
})

t.test('all that stops the tasks besides CRIU hears that CRIU has, of every joined request', async (t) => {
  const { ask, begun, over } = world(t)
  const heard: string[] = []
  ask('manual')
  for (const trigger of ['memory', 'interval'])
    ask(trigger, { stopped: async () => void heard.push(trigger) })
  await over(taken('one'))
  await begun[1]?.request.stopped?.()
  t.same(heard, ['memory', 'interval'])
})
