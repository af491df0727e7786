/** What becomes of announced ends over seconds and minutes, by a clock that the test moves. */
import t, { type Test } from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import { CheckpointLedger } from '../../../../sidecar/container/ledger.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import type { Notice } from '../../../../sidecar/triggers/notices/notice.ts'
import { SourceBook } from '../../../../sidecar/triggers/notices/source-book.ts'
import { NoticeTrigger } from '../../../../sidecar/triggers/notices/trigger.ts'
import { quietLog } from '../../quiet-log.ts'
import { queueOf } from '../../stand-ins.ts'
import { fakeClock } from '../../../fake-clock.ts'

const start = Date.parse('2026-03-04T05:06:07Z')
const restartMs = 3_000
const failed = (why: string) => ({ outcome: 'failed', reason: why, detail: '' }) as const

type App = {
  running: boolean
  held: boolean
  /** How long a checkpoint of it takes, and why it fails. */
  takesMs: number
  fails: () => string | undefined
  memoryBytes: number
}
type Asked = { at: number; name: string; afterwards: string; reason: string; untilMs: number }

/** Containers that are held, released and restarted as the keeper does it. All times in seconds from the start. */
async function world(t: Test, names = ['app'], more: Partial<App> = {}) {
  const clock = fakeClock(t, { startMs: start, stepMs: 100 })
  const seconds = () => Math.round((Date.now() - start) / 100) / 10
  const apps = new Map(names.map((name): [string, App] => [name, { running: true, held: false, takesMs: 500, fails: () => undefined, memoryBytes: 1 << 20, ...more }])) // prettier-ignore
  const appOf = (name: string) => {
    const app = apps.get(name)
    if (app === undefined) throw new Error(name)
    return app
  }
  const [asked, released]: [Asked[], [number, string][]] = [[], []]
  const [ledger, book] = [new CheckpointLedger(), new SourceBook()]
  const restart = (name: string) => setTimeout(() => {
    appOf(name).running = true
    queues.get(name)?.look()
  }, restartMs) // prettier-ignore
  const notices = new NoticeTrigger({
    book,
    ledger,
    log: quietLog,
    vitals: async (name) => appOf(name).running ? { cpuMs: 1, memoryBytes: appOf(name).memoryBytes } : undefined, // prettier-ignore
    endKeptOpen: async (name) => {
      if (!appOf(name).held) return { outcome: 'not-kept-open' }
      appOf(name).held = false
      released.push([seconds(), name])
      restart(name)
      return { outcome: 'ended' }
    },
  })
  const checkpoint = async (name: string, request: CheckpointRequest): Promise<CheckpointOutcome> => {
    const app = appOf(name)
    const { afterwards, reason, deadline } = request
    asked.push({ at: seconds(), name, afterwards, reason, untilMs: Date.now() + deadline.leftMs - start })
    app.running = false
    await new Promise((resolve) => setTimeout(resolve, app.takesMs))
    const why = app.fails()
    app.running = why !== 'died' && (why !== undefined || afterwards === 'resume')
    if (why === 'died') restart(name)
    if (why !== undefined) return failed(why)
    app.held = afterwards === 'end'
    return { outcome: 'taken', id: 'one', phases: { startMs: 1, dumpMs: 100, totalMs: app.takesMs }, bytes: 1e6, memoryBytes: app.memoryBytes } // prettier-ignore
  }
  const queues = new Map(names.map((name) => [name, queueOf({ isRunning: () => appOf(name).running, take: (request) => checkpoint(name, request) })])) // prettier-ignore
  const runs = async (name: string, signal: AbortSignal) => {
    while (!appOf(name).running && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const container = (name: string) =>
    ledger.watch({
      plan: { name },
      runs: (signal) => runs(name, signal),
      ending: () => undefined,
      checkpoint: (request) => queues.get(name)?.ask(request) ?? Promise.reject(new Error(name)),
    })
  await notices.start(new Map(names.map((name) => [name, container(name)])))
  t.teardown(() => notices.stop())
  const pass = (until: number) => clock.pass(until * 1_000 - clock.ms())
  return { notices, asked, released, apps, appOf, ledger, container, pass }
}

/** @param by seconds from the start; undefined: nobody says when */
function notice(source: string, by: number | undefined, more: Partial<Notice> = {}): Notice {
  const deadline = by === undefined ? undefined : start + by * 1_000
  return { source, id: 'one', kind: 'machine-terminated', certainty: 'certain', container: undefined, detail: '', deadline, ...more } // prettier-ignore
}
const rebalance = notice('aws/rebalance', undefined, { kind: 'machine-at-risk', certainty: 'possible' })
const reboot = (by: number, more: Partial<Notice> = {}) => notice('aws/scheduled', by, { kind: 'machine-rebooted', certainty: 'likely', ...more }) // prettier-ignore

t.test('what was put off lets go, and is held again when it is near', async (t) => {
  const { notices, asked, released, pass } = await world(t)
  notices.hear('folder', [notice('folder', 140)])
  await pass(10)
  notices.hear('folder', [notice('folder', 190, { id: 'two' })])
  await pass(60)
  t.same(released.map(([, name]) => name), ['app']) // prettier-ignore
  t.match(asked, [{ afterwards: 'end' }, { afterwards: 'end' }])
  t.equal(asked.length, 2)
  t.ok((asked[1]?.at ?? 0) >= 40, `at ${asked[1]?.at} s`)
})

t.test('a container that goes on for another reason is no longer held', async (t) => {
  const { notices, asked, appOf, pass } = await world(t)
  notices.hear('a', [notice('a', 120)])
  await pass(5)
  Object.assign(appOf('app'), { running: true, held: false })
  notices.released('app')
  await pass(10)
  t.equal(asked.length, 2, 'it is ended again, before its machine is')
  t.match(asked[1], { afterwards: 'end' })
})

t.test('of two that seem too large both are tried, as far as there is time', async (t) => {
  const { notices, asked, pass } = await world(t, ['app', 'other'], { memoryBytes: 20e9, takesMs: 10_000 })
  notices.hear('a', [notice('a', 120)])
  await pass(40)
  t.same(asked.map(({ name, afterwards }) => `${name} ${afterwards}`).sort(), ['app end', 'other end']) // prettier-ignore
})

t.test('an application that dies under its dump has its turn when it runs again', async (t) => {
  const deaths = ['died']
  const { notices, asked, pass } = await world(t, ['app'], { fails: () => deaths.pop() })
  notices.hear('a', [notice('a', 120)])
  await pass(20)
  t.equal(asked.at(-1)?.afterwards, 'end')
  t.match(notices.status, { held: ['app'] })
})

for (const [lead, back] of [
  [30, 26],
  [10, 7],
] as const)
  t.test(`a store that comes back in the last seconds is not too late, of ${lead}`, async (t) => {
    const { notices, ledger, pass } = await world(t, ['app'], { fails: () => (Date.now() < start + back * 1_000 ? 'store-failed' : undefined), takesMs: 50 }) // prettier-ignore
    notices.hear('a', [notice('a', lead)])
    await pass(lead - 1)
    t.match(ledger.last('app'), { outcome: 'taken' })
  })

t.test('what a machine outlives has a little more, and is not ended', async (t) => {
  const { notices, asked, ledger, pass } = await world(t, ['app'], { fails: () => (Date.now() < start + 12_000 ? 'store-failed' : undefined), takesMs: 50 }) // prettier-ignore
  notices.hear('a', [notice('a', 10)])
  await pass(20)
  t.match(ledger.last('app'), { outcome: 'taken' })
  t.match(asked.at(-1), { afterwards: 'resume' })
})

t.test('also where it is heard in the last second', async (t) => {
  const { notices, asked, pass } = await world(t)
  await pass(9.1)
  notices.hear('a', [notice('a', 10)])
  await pass(15)
  t.match(asked, [{ afterwards: 'resume' }])
})

t.test('a deadline that is put off while its checkpoint fails is the one that counts', async (t) => {
  const { notices, asked, pass } = await world(t, ['app'], { fails: () => (Date.now() < start + 35_000 ? 'store-failed' : undefined) }) // prettier-ignore
  notices.hear('folder', [notice('folder', 30)])
  await pass(5)
  notices.hear('folder', [notice('folder', 80, { id: 'two' })])
  await pass(75)
  t.match(asked.at(-1), { afterwards: 'end', untilMs: 79_000 })
  t.match(notices.status, { held: ['app'] })
})

t.test('a warning is answered once, whatever planned event joins it', async (t) => {
  const { notices, asked, pass } = await world(t)
  notices.hear('aws/rebalance', [rebalance])
  await pass(180)
  for (const [index, at] of [240, 300, 360].entries()) {
    notices.hear('aws/scheduled', [reboot(14 * 86_400 + index * 3_600, { id: String(index) })])
    await pass(at)
  }
  t.equal(asked.length, 1)
})

t.test('two notices that wait for their turn at once are one checkpoint', async (t) => {
  const { notices, ledger, pass } = await world(t, ['app'], { fails: () => (Date.now() < start + 390_000 ? 'store-failed' : undefined) }) // prettier-ignore
  notices.hear('a', [notice('a', 500, { certainty: 'likely' })])
  await pass(490)
  t.equal(ledger.counts.find(({ outcome }) => outcome === 'taken')?.count, 1)
})

t.test('what only prepares does nothing where a checkpoint is already under way', async (t) => {
  const { notices, asked, container, pass } = await world(t)
  void container('app').checkpoint({ trigger: 'interval', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
  notices.hear('aws/scheduled', [reboot(86_400)])
  await pass(10)
  t.equal(asked.length, 1)
})

t.test('one that keeps failing does not take the others’ chance', async (t) => {
  const { notices, asked, appOf, pass } = await world(t, ['bad', 'good'])
  appOf('bad').fails = () => 'dump-failed'
  notices.hear('a', [notice('a', 30)])
  await pass(3)
  t.match(
    asked.find(({ name }) => name === 'good'),
    { afterwards: 'end' },
  )
  await pass(25)
  t.ok(asked.filter(({ name }) => name === 'bad').length > 3, 'it is tried again')
})

t.test('of what nobody dates there is as much time as ever beside an end that is over', async (t) => {
  const { notices, asked, pass } = await world(t)
  await pass(200)
  notices.hear('aws/scheduled', [reboot(0)])
  await pass(260)
  notices.hear('aws/target-lifecycle-state', [notice('aws/target-lifecycle-state', undefined)])
  await pass(270)
  t.ok((asked.at(-1)?.untilMs ?? 0) > 600_000, JSON.stringify(asked))
})

t.test('a file that is written anew for the same instant announces nothing new', async (t) => {
  const { notices, asked, pass } = await world(t)
  for (const id of ['one', 'two', 'three']) {
    notices.hear('folder', [notice('folder', 120, { id, certainty: 'likely' })])
    await pass(Date.now() / 1_000 - start / 1_000 + 5)
  }
  t.equal(asked.length, 1)
  notices.hear('folder', [notice('folder', 800, { id: 'four', certainty: 'likely' })])
  await pass(30)
  t.equal(asked.length, 2, 'but another one is another')
})
