import t, { type Test } from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import { CheckpointLedger } from '../../../../sidecar/container/ledger.ts'
import type { EventLog } from '../../../../src/log.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import type { EndKeptOpen } from '../../../../sidecar/container/state.ts'
import type { Notice } from '../../../../sidecar/triggers/notices/notice.ts'
import { SourceBook } from '../../../../sidecar/triggers/notices/source-book.ts'
import { NoticeTrigger } from '../../../../sidecar/triggers/notices/trigger.ts'
import { quietLog } from '../../quiet-log.ts'
import { queueOf } from '../../stand-ins.ts'
import { fakeClock, type FakeClock } from '../../../fake-clock.ts'

const taken: CheckpointOutcome = { outcome: 'taken', id: 'one', phases: {}, bytes: 1 }
/** Long enough for all that gathers, and for a timer that is due. */
const settle = () => clock.pass(400)
const until = (what: string, holds: () => unknown) => clock.until(what, holds)

let clock: FakeClock
t.beforeEach((t) => void (clock = fakeClock(t)))

type Take = (request: CheckpointRequest) => Promise<CheckpointOutcome>

async function trigger(t: Test, take: Take = async () => taken, names = ['app']) {
  const asked: (CheckpointRequest & { name: string })[] = []
  const released: string[] = []
  /** What each of them was answered; that it was released beyond them. */
  const answers: EndKeptOpen[] = []
  const said: unknown[] = []
  /** Containers whose application does not run. */
  const idle = new Set<string>()
  const [ledger, book] = [new CheckpointLedger(), new SourceBook()]
  const parts = {
    book,
    ledger,
    vitals: async (name: string) => (idle.has(name) ? undefined : { cpuMs: 1, memoryBytes: 1 << 20 }),
    endKeptOpen: async (name: string): Promise<EndKeptOpen> =>
      answers[released.push(name) - 1] ?? { outcome: 'ended' },
    releaseRetryMs: 50,
    log: { ...quietLog, warn: (...words: unknown[]) => said.push(words) } as unknown as EventLog,
  }
  const notices = new NoticeTrigger(parts)
  const queues = new Map(names.map((name) => [name, queueOf({ isRunning: () => !idle.has(name), take: (request) => (asked.push({ name, ...request }), take(request)) })])) // prettier-ignore
  const container = (name: string) =>
    ledger.watch({
      plan: { name },
      runs: (signal) => until('it to run', () => signal.aborted || !idle.has(name)),
      ending: () => undefined,
      checkpoint: (request) => queues.get(name)?.ask(request) ?? Promise.reject(new Error(name)),
    })
  await notices.start(new Map(names.map((name) => [name, container(name)])))
  t.teardown(() => notices.stop())
  return { notices, asked, released, answers, said, idle, ledger, book, container }
}

function notice(source: string, more: Partial<Notice> = {}): Notice {
  const plain = { id: 'one', container: undefined, deadline: Date.now() + 60_000, detail: 'd' } as const
  return { source, kind: 'machine-terminated', certainty: 'certain', ...plain, ...more }
}

t.test('twenty notices of one death from four sources are answered by one checkpoint', async (t) => {
  const { notices, asked, book } = await trigger(t)
  for (const source of ['a', 'b', 'c', 'd'])
    notices.hear(source, Array.from({ length: 5 }, (_, index) => notice(source, { id: String(index) }))) // prettier-ignore
  await until('the checkpoint', () => asked.length > 0)
  for (const source of ['a', 'b', 'c', 'd'])
    notices.hear(source, Array.from({ length: 5 }, (_, index) => notice(source, { id: String(index) }))) // prettier-ignore
  notices.hear('e', [notice('e')])
  await settle()
  t.equal(asked.length, 1)
  t.match(asked, [{ name: 'app', trigger: 'spot', afterwards: 'end', reason: 'a: d' }])
  const left = asked[0]?.deadline.leftMs ?? 0
  t.ok(left < 59_000 && left > 50_000, 'complete before the deadline, with a margin')
  t.same(book.states.map(({ noticesSeen }) => noticesSeen), [5, 5, 5, 5, 1]) // prettier-ignore
  t.match(book.states[0]?.lead, { usedMs: Number })
})

t.test('what is withdrawn before the checkpoint began is not answered', async (t) => {
  const { notices, asked, released } = await trigger(t)
  notices.hear('a', [notice('a')])
  notices.hear('a', [])
  await settle()
  t.same(asked, [])
  t.same(released, [])
})

t.test('nor what is withdrawn while another checkpoint is under way', async (t) => {
  let finish: ((outcome: CheckpointOutcome) => void) | undefined
  const { notices, asked, ledger, container } = await trigger(
    t,
    () => new Promise((resolve) => (finish = resolve)),
  )
  const manual = container('app').checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
  notices.hear('a', [notice('a')])
  await settle()
  t.equal(asked.length, 1, 'its turn has not come')
  notices.hear('a', [])
  finish?.(taken)
  await manual
  await settle()
  t.equal(asked.length, 1)
  t.match(ledger.last('app'), { outcome: 'skipped', detail: 'the notice was withdrawn' })
})

t.test(
  'after a warning was answered by a checkpoint, the notice itself is answered by another',
  async (t) => {
    const { notices, asked } = await trigger(t)
    const warning = notice('a', { kind: 'machine-at-risk', deadline: undefined, certainty: 'possible' })
    notices.hear('a', [warning])
    await until('the first', () => asked.length === 1)
    notices.hear('b', [notice('b')])
    await until('the second', () => asked.length === 2)
    await settle()
    t.match(asked, [{ afterwards: 'resume' }, { afterwards: 'end' }])
    t.equal(asked.length, 2)
  },
)

t.test('what is far gets a checkpoint that goes on, and when it is near one that ends', async (t) => {
  const { notices, asked } = await trigger(t)
  notices.hear('a', [notice('a', { deadline: Date.now() + 151_000 })])
  await until('the first', () => asked.length === 1)
  t.match(asked, [{ afterwards: 'resume' }])
  await until('the second, when it is near', () => asked.length === 2)
  t.match(asked[1], { afterwards: 'end' })
})

t.test(
  'a held container is released when its notice is withdrawn, and the next notice is a new death',
  async (t) => {
    const { notices, asked, released } = await trigger(t)
    notices.hear('a', [notice('a')])
    await until('the checkpoint', () => asked.length === 1)
    await settle()
    t.same(released, [])
    notices.hear('a', [])
    await until('it to be released', () => released.length === 1)
    notices.hear('a', [notice('a')])
    await until('another checkpoint', () => asked.length === 2)
  },
)

t.test('a container is released once the store answers that nobody else has its lineage', async (t) => {
  const { notices, asked, released, answers, said } = await trigger(t)
  answers.push({ outcome: 'unknown' }, { outcome: 'unknown' })
  notices.hear('a', [notice('a')])
  await until('the checkpoint', () => asked.length === 1)
  await settle()
  notices.hear('a', [])
  await until('the first try', () => released.length === 1)
  t.match(notices.status, { held: ['app'] }, 'it is held still')
  await until('it to be released', () => released.length === 3)
  await settle()
  t.equal(released.length, 3, 'and that is all')
  t.match(notices.status, { held: [] })
  const words = JSON.stringify(said)
  t.notMatch(words, /another pod has the lineage/, 'which nobody knew')
  t.equal(words.split('the store does not answer').length, 2, 'said once')
})

t.test('a container of which another pod has gone on stays held, and is not asked after again', async (t) => {
  const { notices, asked, released, answers, said } = await trigger(t)
  answers.push({ outcome: 'taken-over', holder: 'other' })
  notices.hear('a', [notice('a')])
  await until('the checkpoint', () => asked.length === 1)
  await settle()
  notices.hear('a', [])
  await until('the only try', () => released.length === 1)
  await settle()
  t.equal(released.length, 1)
  t.match(JSON.stringify(said), /"holder":"other".*another pod has the lineage/)
})

t.test(
  'a notice that is withdrawn while its checkpoint is taken lets the container go as well',
  async (t) => {
    let finish: ((outcome: CheckpointOutcome) => void) | undefined
    const { notices, asked, released } = await trigger(t, () => new Promise((resolve) => (finish = resolve)))
    notices.hear('a', [notice('a')])
    await until('the checkpoint', () => asked.length === 1)
    notices.hear('a', [])
    await settle()
    t.same(released, [], 'not while it is taken')
    finish?.(taken)
    await until('it to be released', () => released.length === 1)
  },
)

t.test('a warning of an end that may come takes a checkpoint only if there is none', async (t) => {
  const { notices, asked, container } = await trigger(t, undefined, ['app', 'other'])
  await container('other').checkpoint({ trigger: 'interval', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
  notices.hear('a', [notice('a', { kind: 'machine-rebooted', deadline: Date.now() + 86_400_000, certainty: 'likely' })]) // prettier-ignore
  await settle()
  t.match(asked.slice(1), [{ name: 'app', trigger: 'spot', afterwards: 'resume' }])
  t.equal(asked.length, 2)
})

t.test('a notice for one container leaves the others alone', async (t) => {
  const { notices, asked } = await trigger(t, undefined, ['app', 'other'])
  notices.hear('folder', [notice('folder', { container: 'other', kind: 'pod-ended' })])
  await settle()
  t.match(asked, [{ name: 'other', afterwards: 'end' }])
  t.equal(asked.length, 1)
})

t.test('what does not run yet has its turn when it runs, and holds no other up', async (t) => {
  const { notices, asked, idle, ledger } = await trigger(t, undefined, ['app', 'other', 'late'])
  idle.add('app').add('late')
  notices.hear('a', [notice('a')])
  await until('the other', () => asked.length === 1)
  await settle()
  t.match(asked, [{ name: 'other' }])
  idle.delete('app')
  await until('the application', () => asked.length === 2)
  t.match(asked[1], { name: 'app', afterwards: 'end' })
  notices.hear('a', [])
  await until('the last to be passed over', () => ledger.last('late') !== undefined)
  t.match(ledger.last('late'), { outcome: 'skipped', detail: 'the notice was withdrawn' })
})

t.test('a warning that waited for its turn is outdone by the notice itself', async (t) => {
  const { notices, asked, idle, ledger } = await trigger(t)
  idle.add('app')
  notices.hear('a', [notice('a', { kind: 'machine-at-risk', deadline: undefined, certainty: 'possible' })])
  await settle()
  notices.hear('b', [notice('b')])
  await settle()
  idle.delete('app')
  await until('the checkpoint', () => asked.length === 1)
  await until('the other to be passed over', () => ledger.counts.some(({ outcome }) => outcome === 'skipped'))
  await settle()
  t.match(asked, [{ afterwards: 'end', reason: 'b: d' }])
  t.equal(asked.length, 1)
})

t.test('what fails is tried until it is complete or its time is over', async (t) => {
  const failed: CheckpointOutcome = { outcome: 'failed', reason: 'dump-failed', detail: '' }
  const outcomes = [failed, failed, taken]
  const { notices, asked } = await trigger(t, async () => outcomes.shift() ?? failed)
  notices.hear('a', [notice('a', { certainty: 'likely' })])
  await until('the third try', () => asked.length === 3)
  await settle()
  t.equal(asked.length, 3)
  const { notices: late, asked: askedLate, released } = await trigger(t, async () => failed)
  late.hear('a', [notice('a', { deadline: Date.now() + 1_500 })])
  await settle()
  t.equal(askedLate.length, 1)
  t.same(released, [])
})

t.test('what fails is not tried for a notice that is withdrawn', async (t) => {
  const failed: CheckpointOutcome = { outcome: 'failed', reason: 'dump-failed', detail: '' }
  const { notices, asked, ledger } = await trigger(t, async () => failed)
  notices.hear('a', [notice('a')])
  await until('the first try', () => asked.length === 1)
  notices.hear('a', [])
  await until('it to be passed over', () => ledger.last('app')?.outcome === 'skipped')
  t.equal(asked.length, 1)
})

t.test('what cannot be complete in time is not begun, or does not end the application', async (t) => {
  // A gibibyte that took a minute to store, and two seconds to dump.
  const slow: CheckpointOutcome = { outcome: 'taken', id: 'one', phases: { startMs: 1, dumpMs: 2_000, totalMs: 62_000 }, bytes: 2 ** 30 } // prettier-ignore
  for (const [leftMs, afterwards] of [
    [120_000, 'end'],
    [30_000, 'resume'],
    [3_000, undefined],
  ] as const) {
    const { notices, asked, ledger, container } = await trigger(t, async () => slow)
    await container('app').checkpoint({ trigger: 'interval', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
    notices.hear('a', [notice('a', { deadline: Date.now() + leftMs })])
    await settle()
    t.equal(asked[1]?.afterwards, afterwards, `${leftMs} ms`)
    if (afterwards === undefined) t.match(ledger.last('app'), { outcome: 'skipped', detail: /too short/ })
    t.match(notices.status, {
      lastAnswer: { answer: 'checkpoint-and-hold', plan: /^app: \S+, \d+ ms needed/ },
    })
  }
})

/** It was recommended to leave the machine, and is until it is gone. */
const rebalance = notice('aws/rebalance', { kind: 'machine-at-risk', deadline: undefined, certainty: 'possible' }) // prettier-ignore

t.test('a termination that is withdrawn lets the container go, whatever warning stays', async (t) => {
  const { notices, asked, released } = await trigger(t)
  notices.hear('aws/rebalance', [rebalance])
  notices.hear('a', [notice('a')])
  await until('the checkpoint', () => asked.length === 1)
  await settle()
  notices.hear('a', [])
  await until('it to be released', () => released.length === 1)
  await settle()
  t.match(asked, [{ afterwards: 'end' }])
  t.equal(asked.length, 1, 'and the warning was answered with it')
})

t.test(
  'a termination that is withdrawn before its turn ends nothing: what is left of it is the warning',
  async (t) => {
    const { notices, asked, idle, released } = await trigger(t)
    idle.add('app')
    notices.hear('aws/rebalance', [rebalance])
    notices.hear('a', [notice('a')])
    await settle()
    notices.hear('a', [])
    await settle()
    idle.delete('app')
    await until('the checkpoint', () => asked.length === 1)
    await settle()
    t.match(asked, [{ afterwards: 'resume', reason: 'aws/rebalance: d' }])
    t.same([asked.length, released.length], [1, 0])
  },
)

t.test('what is said of a container and of its pod is one death of it', async (t) => {
  const { notices, asked, released } = await trigger(t, undefined, ['app', 'other'])
  notices.hear('folder', [notice('folder', { container: 'app', kind: 'pod-ended' })])
  notices.hear('a', [notice('a')])
  await until('both checkpoints', () => asked.length === 2)
  await settle()
  t.same(asked.map(({ name }) => name).sort(), ['app', 'other']) // prettier-ignore
  notices.hear('folder', [])
  await settle()
  t.same(released, [], 'the machine is taken all the same')
  notices.hear('a', [])
  await until('both to be released', () => released.length === 2)
})

t.test('a deadline that is moved nearer is answered', async (t) => {
  const { notices, asked } = await trigger(t)
  notices.hear('a', [notice('a', { deadline: Date.now() + 900_000 })])
  await until('the first', () => asked.length === 1)
  notices.hear('a', [notice('a', { deadline: Date.now() + 60_000 })])
  await until('the second', () => asked.length === 2)
  t.match(asked, [{ afterwards: 'resume' }, { afterwards: 'end' }])
})

t.test('a machine that outlived its deadline is saved from, and its application not ended', async (t) => {
  const { notices, asked } = await trigger(t)
  notices.hear('a', [notice('a', { deadline: Date.now() - 5_000 })])
  await until('the checkpoint', () => asked.length === 1)
  t.match(asked, [{ afterwards: 'resume' }])
  t.ok((asked[0]?.deadline.leftMs ?? 0) > 10_000)
})

t.test('a slow checkpoint leaves the next container its time', async (t) => {
  const took = { outcome: 'taken', id: 'one', phases: { startMs: 1, dumpMs: 1_000, totalMs: 8_000 }, bytes: 2 ** 30 } as const // prettier-ignore
  const { notices, asked, container } = await trigger(t, async () => took, ['app', 'other'])
  for (const name of ['app', 'other'])
    await container(name).checkpoint({ trigger: 'interval', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
  const deadline = Date.now() + 60_000
  notices.hear('a', [notice('a', { deadline })])
  await until('both', () => asked.length === 4)
  const left = asked.slice(2).map((request) => Math.round((deadline - request.deadline.epochMs) / 100) * 100)
  t.same(left, [11_000, 1_000], 'eight seconds and a quarter, and a second for the machine itself')
})

t.test('what only makes the machine stand still is heard and not answered', async (t) => {
  const { notices, asked } = await trigger(t)
  notices.hear('gcp/maintenance-event', [notice('gcp/maintenance-event', { kind: 'machine-frozen' })])
  await settle()
  t.same(asked, [])
  t.match(notices.status, { standing: [{ kind: 'machine-frozen', answered: 'nothing' }], held: [] })
})
