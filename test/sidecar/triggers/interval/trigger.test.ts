import t, { type Test } from 'tap'
import { Deadline } from '../../../../src/deadline.ts'
import { CheckpointLedger } from '../../../../sidecar/container/ledger.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../../sidecar/checkpoint/request.ts'
import { IntervalTrigger, type IntervalTriggerParts } from '../../../../sidecar/triggers/interval/trigger.ts'
import type { Vitals } from '../../../../sidecar/proc/vitals.ts'
import { quietLog } from '../../quiet-log.ts'
import { queueOf } from '../../stand-ins.ts'
import { fakeClock } from '../../../fake-clock.ts'

const everyMs = 100

type Take = (request: CheckpointRequest, vitals: Vitals) => Promise<CheckpointOutcome>
let taken = 0
const takes: Take = async (_, { cpuMs }) => ({
  outcome: 'taken',
  id: String(taken++),
  phases: {},
  bytes: 1,
  cpuMs,
})

/** An application that uses a second each time it is looked at, while `works`. */
async function trigger(
  t: Test,
  take: Take = takes,
  parts: Partial<IntervalTriggerParts> = {},
  clock = fakeClock(t),
) {
  const application = { works: true, runs: true, vitals: { cpuMs: 0, memoryBytes: 1 } }
  const asked: CheckpointRequest[] = []
  const ledger = new CheckpointLedger()
  const queue = queueOf({
    isRunning: () => true,
    take: (request) => {
      asked.push(request)
      return take(request, application.vitals)
    },
  })
  const container = ledger.watch({
    plan: { name: 'app' },
    runs: async () => undefined,
    ending: () => undefined,
    checkpoint: (request) => queue.ask(request),
  })
  const interval = new IntervalTrigger({
    interval: { everyMs },
    meanTimeBetweenFailuresMs: 86_400_000,
    lineage: 'ns/Pod/p/0',
    ledger,
    vitals: async () => {
      if (application.works)
        application.vitals = { ...application.vitals, cpuMs: application.vitals.cpuMs + 1_000 }
      return application.runs ? application.vitals : undefined
    },
    freezeMs: async () => 0,
    maxFreezeMs: 30_000,
    log: quietLog,
    ...parts,
  })
  await interval.start(new Map([['app', container]]))
  t.teardown(() => interval.stop())
  return { clock, interval, asked, ledger, container, application }
}

t.test('takes a checkpoint every so often, and lets the application go on', async (t) => {
  const { clock, asked } = await trigger(t)
  await clock.until('five checkpoints', () => asked.length === 5)
  t.ok(clock.ms() >= (4 * 0.9 + 0.5) * everyMs, `${clock.ms()} ms for five`)
  t.ok(clock.ms() <= (4 * 1.1 + 1.5) * everyMs + 50, `${clock.ms()} ms for five`)
  t.match(asked[4], { trigger: 'interval', afterwards: 'resume', reason: 'every 0 s' })
})

t.test('a checkpoint that others asked for begins the interval anew', async (t) => {
  const { clock, asked, container } = await trigger(t, takes, { interval: { everyMs: 300 } })
  for (let count = 0; count < 8; count++) {
    await container.checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(1_000) }) // prettier-ignore
    await clock.pass(100)
  }
  t.ok(asked.every((request) => request.trigger === 'manual'))
})

t.test('takes none while another one is under way', async (t) => {
  let finish: (() => void) | undefined
  let underWay = 0
  let most = 0
  const { clock, asked } = await trigger(t, async (request, vitals) => {
    most = Math.max(most, ++underWay)
    if (request.trigger === 'manual') await new Promise<void>((resolve) => (finish = resolve))
    underWay--
    return takes(request, vitals)
  }).then((all) => {
    void all.container.checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(9_000) }) // prettier-ignore
    return all
  })
  await clock.pass(5 * everyMs)
  t.equal(asked.length, 1)
  finish?.()
  await clock.until('the interval to go on', () => asked.length > 2)
  t.equal(most, 1)
})

t.test('takes none of an application that made no progress, says so, and goes on when it does', async (t) => {
  const { clock, interval, asked, ledger, application } = await trigger(t)
  await clock.until('the first', () => asked.length === 1)
  application.works = false
  await clock.until('a turn to be skipped', () => ledger.last('app')?.outcome === 'skipped')
  const before = asked.length
  await clock.pass(4 * everyMs)
  t.equal(asked.length, before)
  t.match(ledger.last('app'), { trigger: 'interval', detail: 'no progress since the last checkpoint' })
  t.match(interval.status, [{ container: 'app', noProgressSince: String }])
  application.works = true
  await clock.until('the next', () => asked.length > before)
  t.match(interval.status, [{ noProgressSince: undefined }])
})

t.test(
  'one that would stop the application for too long is not begun but said, until it is short enough',
  async (t) => {
    const events: string[] = []
    const log = { ...quietLog, warn: ({ event }: { event: string }) => events.push(event) } as unknown as typeof quietLog // prettier-ignore
    let freezeMs: number | Error = 30_001
    const measure = async () => {
      if (freezeMs instanceof Error) throw freezeMs
      return freezeMs
    }
    const { clock, asked, interval, ledger, container } = await trigger(t, takes, { freezeMs: measure, log })
    await clock.pass(8 * everyMs)
    t.same(asked, [])
    t.match(interval.status, [{ expectedFreezeMs: 30_001, tooLongSince: String }])
    t.match(ledger.last('app'), { outcome: 'skipped', detail: /maxFreeze/ })
    t.same(events, ['interval.too_long'], 'once')
    await container.checkpoint({
      trigger: 'prestop',
      reason: '',
      afterwards: 'end',
      deadline: Deadline.in(1_000),
    })
    t.match(asked, [{ trigger: 'prestop' }], 'any other is taken')
    freezeMs = 30_000
    await clock.until('a periodic one', () => asked.length > 1)
    t.match(interval.status, [{ tooLongSince: undefined }])
    freezeMs = new Error('the files could not be looked at')
    const before = asked.length
    await clock.until('the next', () => asked.length > before)
    t.ok(events.includes('interval.not_measured'))
  },
)

t.test('what happens while the files are measured counts', async (t) => {
  let measuring: ((ms: number) => void) | undefined
  const freezeMs = () => new Promise<number>((resolve) => (measuring = resolve))
  const parts = { freezeMs, interval: { everyMs: 10 * everyMs } }
  const { clock, asked, interval, container } = await trigger(t, takes, parts)
  await clock.until('the files to be measured', () => measuring !== undefined)
  await container.checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(1_000) }) // prettier-ignore
  measuring?.(0)
  await clock.pass(everyMs)
  t.match(asked, [{ trigger: 'manual' }], 'no second one right after it')
  t.equal(asked.length, 1)
  measuring = undefined
  await clock.until('the next turn', () => measuring !== undefined)
  await interval.stop()
  ;(measuring as ((ms: number) => void) | undefined)?.(0)
  await clock.pass(everyMs)
  t.equal(asked.length, 1, 'the sidecar ends')
})

t.test('what does not run is looked at again', async (t) => {
  const { clock, asked, application } = await trigger(t)
  application.runs = false
  await clock.pass(4 * everyMs)
  t.same(asked, [])
  application.runs = true
  await clock.until('the first', () => asked.length > 0)
})

t.test('dumps that fail are tried ever more seldom', async (t) => {
  const { clock, asked } = await trigger(t, async () => ({
    outcome: 'failed',
    reason: 'dump-failed',
    detail: '',
  }))
  await clock.until('four', () => asked.length === 4)
  const began = clock.ms()
  await clock.until('the fifth', () => asked.length === 5)
  t.ok(clock.ms() - began > 7 * everyMs, 'the fifth after eight intervals')
})

t.test('reckons by itself how often, once it knows what a checkpoint costs', async (t) => {
  const { interval, container } = await trigger(
    t,
    async () => ({
      outcome: 'taken',
      id: String(taken++),
      phases: { frozenMs: 2_000, totalMs: 4_000 },
      bytes: 1,
      cpuMs: 1,
    }),
    { interval: 'auto' },
  )
  t.match(interval.status, [{ everyMs: 300_000 }])
  await container.checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(1_000) }) // prettier-ignore
  t.match(interval.status, [{ everyMs: Math.round(Math.sqrt(2 * 2_000 * 86_400_000)) }])
})

/** As an administrator or a time daemon sets it, for the rest of the test. */
function setClock(t: Test, byMs: number): void {
  const real = Date.now
  t.teardown(() => void (Date.now = real))
  Date.now = () => real() + byMs
}

t.test('a clock that is set back or forward neither stops it nor hurries it', async (t) => {
  for (const byMs of [-3_600_000, 3_600_000])
    await t.test(`by ${byMs} ms`, async (t) => {
      const times: number[] = []
      const { clock, asked } = await trigger(t, (request, vitals) => {
        times.push(performance.now())
        return takes(request, vitals)
      })
      await clock.until('two checkpoints', () => asked.length >= 2)
      setClock(t, byMs)
      await clock.until('five more', () => asked.length >= 7)
      const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      t.ok(Math.min(...pauses) >= 0.9 * everyMs, `${pauses.join(', ')} ms`)
    })
})

t.test('when the next is due is told by the clock on the wall, whatever the interval', async (t) => {
  const clock = fakeClock(t)
  setClock(t, -3_600_000)
  const year = 8_760 * 3_600_000
  for (const everyMs of [10_000, year, Number.MAX_SAFE_INTEGER]) {
    const began = Date.now()
    const { interval } = await trigger(t, takes, { interval: { everyMs } }, clock)
    const [{ nextAt }] = interval.status as [{ nextAt: string }]
    t.ok(Date.parse(nextAt) >= Math.min(began + everyMs / 2 - 1, 8.64e15), nextAt)
    t.ok(Date.parse(nextAt) <= Date.now() + 1.5 * everyMs + 1, nextAt)
  }
})

t.test('memory that changed counts as well, whoever asked for the checkpoint before', async (t) => {
  const { clock, interval, asked, container, application } = await trigger(t, async (_, vitals) => ({
    outcome: 'taken',
    id: String(taken++),
    phases: {},
    bytes: 1,
    ...vitals,
  }))
  application.works = false
  await container.checkpoint({ trigger: 'manual', reason: '', afterwards: 'resume', deadline: Deadline.in(1_000) }) // prettier-ignore
  await clock.until('a turn to be skipped', () => JSON.stringify(interval.status).includes('noProgressSince'))
  t.equal(asked.length, 1)
  application.vitals = { ...application.vitals, memoryBytes: 4_097 }
  await clock.until('the next', () => asked.length === 2)
})

t.test('takes none once it was stopped', async (t) => {
  const { clock, interval, asked } = await trigger(t)
  await interval.stop()
  await clock.pass(3 * everyMs)
  t.same(asked, [])
})

t.test('a program that cannot be saved is not stopped again and again', async (t) => {
  const { clock, asked } = await trigger(t, async () => ({
    outcome: 'failed',
    reason: 'uses-mptcp',
    detail: 'it has an MPTCP socket',
  }))
  await clock.until('the first', () => asked.length === 1)
  await clock.pass(600_000)
  t.equal(asked.length, 1)
})
