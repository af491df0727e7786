import t from 'tap'
import { CheckpointLedger } from '../../../sidecar/container/ledger.ts'
import type { CheckpointRequest } from '../../../sidecar/checkpoint/request.ts'
import type { CheckpointOutcome } from '../../../sidecar/container/asked-checkpoints.ts'

const request = (trigger: string): CheckpointRequest => ({
  trigger,
  reason: 'r',
  afterwards: 'resume',
  deadline: Date.now() + 5_000,
})

function watched(checkpoint: (request: CheckpointRequest) => Promise<CheckpointOutcome>) {
  const ledger = new CheckpointLedger()
  const endings: number[] = []
  const container = ledger.watch({ plan: { name: 'app' }, ending: (at) => void endings.push(at), checkpoint })
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
  container.ending(7)
  t.same(endings, [7])
})

t.test('knows what is under way, and lets others wait for it, but not for ever', async (t) => {
  let finish: ((outcome: CheckpointOutcome) => void) | undefined
  const { ledger, container } = watched(() => new Promise((resolve) => (finish = resolve)))
  const taking = container.checkpoint(request('manual'))
  t.equal(ledger.isUnderWay('app'), true)
  const short = new AbortController()
  setTimeout(() => short.abort(), 50)
  await ledger.idle('app', short.signal)
  t.equal(ledger.isUnderWay('app'), true)
  const idle = ledger.idle('app', AbortSignal.timeout(5_000))
  finish?.({ outcome: 'taken', id: 'one', phases: {} })
  await idle
  t.equal(ledger.isUnderWay('app'), false)
  await taking
  await ledger.idle('another', AbortSignal.timeout(5_000))
})

t.test('one that throws is not under way for ever', async (t) => {
  const { ledger, container } = watched(() => Promise.reject(new Error('unforeseen')))
  await t.rejects(container.checkpoint(request('manual')), { message: 'unforeseen' })
  t.equal(ledger.isUnderWay('app'), false)
})

t.test('keeps the last few measurements only', async (t) => {
  const { ledger, container } = watched(async () => ({ outcome: 'taken', id: 'one', phases: {}, bytes: 1 }))
  for (let count = 0; count < 10; count++) await container.checkpoint(request('interval'))
  t.equal(ledger.measured('app').length, 3)
  await container.checkpoint({ ...request('prestop'), afterwards: 'end' })
  t.same(
    ledger.measured('app').map(({ ended }) => ended),
    [false, false, true],
  )
})
