import t from 'tap'
import { Deadline } from '../../../src/deadline.ts'
import { CheckpointLedger } from '../../../sidecar/container/ledger.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../../sidecar/checkpoint/request.ts'

const request = (trigger: string): CheckpointRequest => ({
  trigger,
  reason: 'r',
  afterwards: 'resume',
  deadline: Deadline.in(5_000),
})

function watched(checkpoint: (request: CheckpointRequest) => Promise<CheckpointOutcome>) {
  const ledger = new CheckpointLedger()
  const endings: Deadline[] = []
  const container = ledger.watch({
    plan: { name: 'app' },
    runs: async () => undefined,
    ending: (at) => void endings.push(at),
    checkpoint,
  })
  return { ledger, container, endings }
}

t.test('passes on what is asked, and remembers who asked and what became of it', async (t) => {
  let count = 0
  const { ledger, container, endings } = watched(async () =>
    count++ === 0
      ? { outcome: 'taken', id: 'one', phases: { totalMs: 7 }, bytes: 5, cpuMs: 3, memoryBytes: 4 }
      : { outcome: 'failed', reason: 'dump-failed', detail: 'long' },
  )
  const before = Date.now()
  t.match(await container.checkpoint(request('manual')), { outcome: 'taken' })
  t.match(ledger.last('app'), { trigger: 'manual', outcome: 'taken', detail: 'one' })
  t.ok((ledger.newest('app')?.at ?? 0) >= before)
  t.match(ledger.newest('app'), { cpuMs: 3, memoryBytes: 4 })
  t.same(ledger.measured('app'), [{ phases: { totalMs: 7 }, bytes: 5, memoryBytes: 4, ended: false }])
  t.match(await container.checkpoint(request('spot')), { outcome: 'failed' })
  t.match(ledger.last('app'), { trigger: 'spot', outcome: 'failed', detail: 'dump-failed' })
  ledger.skipped('app', 'interval', 'no progress')
  t.same(ledger.counts, [
    { container: 'app', trigger: 'manual', outcome: 'taken', count: 1 },
    { container: 'app', trigger: 'spot', outcome: 'failed', count: 1 },
    { container: 'app', trigger: 'interval', outcome: 'skipped', count: 1 },
  ])
  const by = Deadline.in(7)
  container.ending(by)
  t.equal(endings[0], by)
})

t.test(
  'what was joined into one checkpoint is measured once, and what was passed over is not told of',
  async (t) => {
    const outcomes: CheckpointOutcome[] = [
      { outcome: 'taken', id: 'one', phases: {}, bytes: 1, stoppedMs: 5 },
      { outcome: 'taken', id: 'one', phases: {}, bytes: 1, stoppedMs: 5 },
      { outcome: 'failed', reason: 'passed-over', detail: 'the notice was withdrawn' },
    ]
    const { ledger, container } = watched(
      async () => outcomes.shift() ?? { outcome: 'failed', reason: '', detail: '' },
    )
    for (const trigger of ['memory', 'interval', 'spot']) await container.checkpoint(request(trigger))
    t.equal(ledger.measured('app').length, 1)
    t.equal(ledger.newest('app')?.monotonicMs, 5, 'when it was stopped, not when it was asked for')
    t.match(ledger.last('app'), { trigger: 'interval', outcome: 'taken' })
  },
)

t.test('a checkpoint that throws is told as it is', async (t) => {
  const { container } = watched(() => Promise.reject(new Error('unforeseen')))
  await t.rejects(container.checkpoint(request('manual')), { message: 'unforeseen' })
})

t.test('keeps the last few measurements only', async (t) => {
  let id = 0
  const { ledger, container } = watched(async () => ({
    outcome: 'taken',
    id: String(id++),
    phases: {},
    bytes: 1,
    ended: id > 10,
  }))
  for (let count = 0; count < 10; count++) await container.checkpoint(request('interval'))
  t.equal(ledger.measured('app').length, 3)
  await container.checkpoint({ ...request('prestop'), afterwards: 'end' })
  t.same(
    ledger.measured('app').map(({ ended }) => ended),
    [false, false, true],
  )
})
