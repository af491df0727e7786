/** Without the tools under /reprieve: what is left of the keeper then is that the application runs, in time. */
import type { CheckpointOutcome } from '../../../sidecar/checkpoint/request.ts'
import t, { type Test } from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { emptySlotRecord } from '../../../src/slot-record.ts'
import type { Store } from '../../../src/store/store.ts'
import { ContainerKeeper } from '../../../sidecar/container/keeper.ts'
import { isAlive } from '../../../sidecar/proc/process-tree.ts'
import { containerPlan, Heard, podPlan, program, sleeper, standInStore, surroundings } from '../stand-ins.ts'
import { createDirectoryStore } from '../../../src/store/directory.ts'
import { folderFor, never } from '../../store/samples.ts'
import { fakeClock } from '../../fake-clock.ts'
import { until } from '../../until.ts'

const request = (deadlineMs: number) =>
  ({ trigger: 'manual', reason: 'r', afterwards: 'resume', deadline: Deadline.in(deadlineMs) }) as const

function keep(parts: Partial<Store> = {}, lifeOf?: (pid: number) => string) {
  const store = standInStore(parts)
  const around = surroundings(store)
  const keeper = new ContainerKeeper(around, containerPlan, lifeOf)
  const connection = new Heard()
  const run = (pid: number, at: Parameters<typeof say>[1]) => say(pid, at)
  const say = (
    pid: number,
    at: { state: 'waiting' } | { state: 'running'; root: number } | { state: 'gone'; code: number },
  ) => keeper.hear(connection, { verb: 'run', container: 'app', pid, launcher: 'unknown', at })
  return { store, keeper, connection, run, events: around.events }
}
const launcher = async (t: Test) => (await sleeper(t, 'elsewhere')).pid

t.test('without its tools it has the application started', async (t) => {
  const { keeper, connection, run } = keep()
  const pid = await launcher(t)
  const clock = fakeClock(t)
  run(pid, { state: 'waiting' })
  t.strictSame(connection.verbs, ['wait'], 'and says at once that it is at it')
  await until('the verdict', () => connection.verbs.includes('start'))
  keeper.hear(connection, { verb: 'started', root: pid })
  t.match(keeper.status, { container: 'app', state: { at: 'running', root: pid, onTrial: undefined } })
  const before = connection.verbs.length
  await clock.pass(60_000)
  t.equal(connection.verbs.length, before, 'and then leaves it in peace')
})

const damaged: Store['list'] = async () => ({
  manifests: [],
  unreadable: [{ id: 'x', reason: 'no manifest' }],
})

t.test(
  'the owner of the pod is told of a start from the beginning where there was something to go on from',
  async (t) => {
    for (const [parts, events] of [
      [{}, []],
      [{ list: damaged }, [{ reason: 'StartedFresh', container: 'app', code: 'checkpoint-corrupt' }]],
    ] as const) {
      const of = keep(parts)
      of.run(await launcher(t), { state: 'waiting' })
      await until('the verdict', () => of.connection.verbs.includes('start'))
      t.equal(of.events.report.events.length, events.length)
      t.match(of.events.report.events, events)
    }
  },
)

t.test('a verdict that was lost with its connection is said again', async (t) => {
  const { keeper, connection, run } = keep()
  const pid = await launcher(t)
  run(pid, { state: 'waiting' })
  keeper.lost(connection)
  await keeper.settled()
  t.notOk(connection.verbs.includes('start'))
  run(pid, { state: 'waiting' })
  t.equal(connection.verbs.at(-1), 'start')
})

/** A listing that says when it is asked for, and answers when it is let. */
function listings() {
  const answers: (() => void)[] = []
  const list: Store['list'] = () =>
    new Promise((resolve) => answers.push(() => resolve({ manifests: [], unreadable: [] })))
  return { list, answers }
}

t.test('the next launcher is prepared for, also where it has the number of the one before', async (t) => {
  const { list, answers } = listings()
  let life = 'first'
  const { keeper, connection, run } = keep({ list }, () => life)
  const pid = await launcher(t)
  run(pid, { state: 'waiting' })
  await until('the first preparation', () => answers.length === 1)
  answers[0]?.()
  await until('the first verdict', () => connection.verbs.includes('start'))
  const application = await program(t, ['sleep', '100'])
  keeper.hear(connection, { verb: 'started', root: application.pid })
  application.kill('SIGKILL')
  await until('its death', async () => !(await isAlive(application.pid)))
  keeper.hear(connection, { verb: 'gone', code: 5 })
  await until('the launcher to be let go', () => connection.verbs.includes('release'))
  connection.messages.length = 0
  life = 'second'
  run(pid, { state: 'waiting' })
  await until('its own preparation', () => answers.length === 2)
  t.notOk(connection.verbs.includes('start'), 'it may have a checkpoint to go on from')
  answers[1]?.()
  await until('its own verdict', () => connection.verbs.includes('start'))
})

for (const which of ['another number', 'the same number'])
  t.test(`what was prepared for a launcher that died is not said to the next, of ${which}`, async (t) => {
    const { list, answers } = listings()
    const lives = new Map<number, string>()
    const { keeper, connection, run } = keep({ list }, (pid) => lives.get(pid) ?? '')
    const [first, other] = [await launcher(t), await launcher(t)]
    const second = which === 'the same number' ? first : other
    lives.set(first, 'first')
    run(first, { state: 'waiting' })
    await until('the first preparation', () => answers.length === 1)
    lives.set(second, 'second')
    keeper.lost(connection)
    run(second, { state: 'waiting' })
    answers[0]?.()
    await until('the preparation for the second', () => answers.length === 2)
    t.notOk(connection.verbs.includes('start'), 'a verdict that is not its own')
    t.match(keeper.status.state, { at: 'preparing', launcherPid: second })
    answers[1]?.()
    await until('its verdict', () => connection.verbs.includes('start'))
    await keeper.settled()
    t.equal(connection.verbs.filter((verb) => verb === 'start').length, 1)
  })

t.test('a change of what the application does wakes those who wait for it, and an abort does', async (t) => {
  const { keeper, connection, run } = keep()
  const never = new AbortController()
  const application = await program(t, ['sleep', '100'])
  const runs = keeper.leaves('gone', never.signal)
  run(await launcher(t), { state: 'running', root: application.pid })
  await runs
  const abort = new AbortController()
  const aborted = keeper.leaves('runs', abort.signal)
  abort.abort()
  await aborted
  t.equal(keeper.doing, 'runs')
  const ends = keeper.leaves('runs', never.signal)
  application.kill('SIGKILL')
  await until('its death', async () => !(await isAlive(application.pid)))
  keeper.hear(connection, { verb: 'gone', code: 5 })
  await ends
  t.equal(keeper.doing, 'gone')
  await keeper.settled()
})

t.test('who has the number of a launcher that died is not taken for it', async (t) => {
  let life = 'first'
  const { keeper, run } = keep({}, () => life)
  const pid = await launcher(t)
  run(pid, { state: 'running', root: pid })
  t.equal(keeper.launcherPid, pid)
  life = 'of somebody else'
  t.equal(keeper.launcherPid, undefined)
})

t.test('an application that was started meanwhile is left alone when the turn comes', async (t) => {
  // The first effect hangs, as a store does; the launcher then loses patience before it is prepared for.
  let release: (() => void) | undefined
  const hung = new Promise<void>((resolve) => {
    release = resolve
  })
  const { keeper, connection, run, store } = keep({
    readRecord: async () => {
      await hung
      return emptySlotRecord()
    },
  })
  run(2 ** 22 + 1, { state: 'gone', code: 0 })
  const pid = await launcher(t)
  run(pid, { state: 'waiting' })
  const root = (await sleeper(t, 'elsewhere')).pid
  keeper.hear(connection, { verb: 'started', root })
  release?.()
  await keeper.settled()
  t.strictSame(store.calls, ['writeRecord', 'removeBefore'])
  t.notOk(connection.verbs.includes('start'))
  t.equal(await isAlive(root), true)
  t.match(keeper.status.state, { at: 'running', root })
})

t.test('a launcher that waits for its turn hears of us all the while', async (t) => {
  let release: (() => void) | undefined
  const hung = new Promise<void>((resolve) => {
    release = resolve
  })
  const { keeper, connection, run } = keep({
    readRecord: async () => {
      await hung
      return emptySlotRecord()
    },
  })
  run(2 ** 22 + 1, { state: 'gone', code: 0 })
  await until('the record to be asked for', () => connection.verbs.length === 1)
  connection.messages.length = 0
  const pid = await launcher(t)
  const clock = fakeClock(t)
  run(pid, { state: 'waiting' })
  await clock.pass(4_500)
  t.strictSame(connection.verbs, ['wait', 'wait', 'wait'])
  release?.()
  await keeper.settled()
})

t.test('status 0 is recorded, and frees what there is, before the launcher leaves', async (t) => {
  const { keeper, connection, run, store } = keep()
  run(await launcher(t), { state: 'gone', code: 0 })
  await keeper.settled()
  t.ok(store.record.finishedAt)
  t.strictSame(store.calls, ['writeRecord', 'removeBefore'])
  t.strictSame(connection.verbs, ['wait', 'release'])
})

t.test('a store that fails does not keep the launcher', async (t) => {
  const { keeper, connection, run } = keep({ readRecord: () => Promise.reject(new Error('no store')) })
  run(await launcher(t), { state: 'gone', code: 0 })
  await keeper.settled()
  t.equal(connection.verbs.at(-1), 'release')
})

t.test('told to end, status 0 is no finished work', async (t) => {
  const { keeper, connection, run, store } = keep()
  keeper.ending(Deadline.in(1_000))
  run(await launcher(t), { state: 'gone', code: 0 })
  await keeper.settled()
  t.strictSame(store.calls, [])
  t.strictSame(connection.verbs, ['release'])
})

t.test(
  'told to end while it stands still, its launcher keeps that from it as long as a checkpoint may take',
  async (t) => {
    const { keeper, connection, run, store } = keep()
    const pid = await launcher(t)
    run(pid, { state: 'running', root: pid })
    t.ok(keeper.endsStandingStill().leftMs > 0)
    keeper.passOn()
    t.strictSame(connection.messages, [
      { verb: 'withhold', ms: podPlan.checkpointBudgetMs + 5_000 },
      { verb: 'withhold', ms: 0 },
    ])
    process.kill(pid, 'SIGKILL')
    await until('its end', async () => !(await isAlive(pid)))
    keeper.hear(connection, { verb: 'gone', code: 0 })
    await keeper.settled()
    t.strictSame(store.calls, [], 'its end is then no finished work')
  },
)

t.test('there is no checkpoint of what does not run', async (t) => {
  const { keeper } = keep()
  t.match(await keeper.checkpoint(request(5_000)), { outcome: 'failed', reason: 'not-running' })
})

t.test('a checkpoint that fails leaves the application running, and can be asked for again', async (t) => {
  const { keeper, run } = keep()
  const pid = await launcher(t)
  run(pid, { state: 'running', root: pid })
  for (let count = 0; count < 2; count++)
    t.match(await keeper.checkpoint(request(5_000)), { outcome: 'failed' })
  t.match(keeper.status, { state: { at: 'running' }, lastCheckpoint: { outcome: 'failed' } })
  t.equal(await isAlive(pid), true)
})

t.test('a checkpoint is answered by its deadline, also behind something that hangs', async (t) => {
  const { keeper, run } = keep({ readRecord: () => new Promise(() => undefined) })
  const pid = await launcher(t)
  run(pid, { state: 'gone', code: 0 })
  run(pid, { state: 'running', root: pid })
  const clock = fakeClock(t)
  let outcome: CheckpointOutcome | undefined
  void keeper.checkpoint(request(100)).then((what) => (outcome = what))
  await clock.until('the answer', () => outcome, 6_000)
  t.match(outcome, { outcome: 'failed', reason: 'deadline-passed' })
})

t.test('a signal is passed on to the root of the tree, and to nothing else', async (t) => {
  const { keeper, connection, run } = keep()
  const [pid, other] = [await launcher(t), await launcher(t)]
  run(pid, { state: 'running', root: pid })
  keeper.hear(connection, { verb: 'signal', number: 15, root: other })
  keeper.hear(connection, { verb: 'signal', number: 0, root: pid })
  keeper.hear(connection, { verb: 'signal', number: 99, root: pid })
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(await isAlive(pid), true)
  keeper.hear(connection, { verb: 'signal', number: 15, root: pid })
  await until('the end', async () => !(await isAlive(pid)))
  t.equal(await isAlive(other), true)
})

t.test(
  'a sidecar that ends leaves the lineage of an application that has ended, and of no other',
  async (t) => {
    const path = folderFor(t)
    const store = createDirectoryStore({ name: 'own', path })
    const { keeper, connection, run } = keep(store)
    const slot = { lineage: podPlan.lineage, container: containerPlan.name }
    const isHeld = async () => (await store.epochs.newest(slot, never))?.beat !== undefined
    const application = await program(t, ['sleep', '100'])
    run(await launcher(t), { state: 'running', root: application.pid })
    await until('it to have the lineage', isHeld)
    await keeper.leaveLineage()
    t.ok(await isHeld(), 'the application goes on')
    application.kill('SIGKILL')
    await until('its death', async () => !(await isAlive(application.pid)))
    keeper.hear(connection, { verb: 'gone', code: 137 })
    await keeper.settled()
    await keeper.leaveLineage()
    t.notOk(await isHeld(), 'a replacement need not wait')
  },
)

t.test('words that no launcher says end the connection', async (t) => {
  const { keeper, connection } = keep()
  keeper.hear(connection, { verb: 'prestop', container: 'app', budgetMs: 1 })
  t.equal(connection.closed, true)
})
