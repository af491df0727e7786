import t from 'tap'
import { mostPodEvents } from '../../../src/agent/report.ts'
import { PodEvents } from '../../../sidecar/setup/pod-events.ts'

const event = (code: string) => ({ reason: 'CheckpointFailed', container: 'app', code, detail: 'd' }) as const

t.test('what nobody hears waits, and the oldest goes when there is too much of it', async (t) => {
  const events = new PodEvents()
  for (let at = 0; at < mostPodEvents + 3; at++) events.tell(event(`${at}`))
  const { report } = events
  t.equal(report.events.length, mostPodEvents)
  t.match(report.events[0], { code: '3' })
  events.told(report.events.slice(0, -1))
  t.match(events.report.events, [{ code: `${mostPodEvents + 2}` }])
})

t.test('what is too long for the protocol is shortened, and nothing is empty', async (t) => {
  const events = new PodEvents()
  events.tell({ reason: 'Restored', container: 'app', code: '', detail: 'x'.repeat(5_000) })
  const [told] = events.report.events
  t.match(told, { code: 'Restored' })
  t.equal(told?.detail.length, 500)
})

t.test('a checkpoint stands until the application begins anew or is not protected any more', async (t) => {
  const events = new PodEvents()
  let changes = 0
  events.listen(() => changes++)
  const taken = { reason: 'CheckpointTaken', container: 'app', code: 'interval', detail: 'd' } as const
  events.saved(taken, { id: 'a', atMs: 1 })
  events.tell(event('a'))
  t.strictSame(events.report.checkpoints, [{ container: 'app', id: 'a', atMs: 1 }])
  for (const reason of ['StartedFresh', 'NotProtected', 'Fenced'] as const) {
    events.saved({ ...taken, container: 'side' }, { id: 'b', atMs: 2 })
    events.saved(taken, { id: 'a', atMs: 1 })
    events.tell({ ...event('c'), reason })
    t.match(events.report.checkpoints, [{ container: 'side' }])
  }
  t.equal(changes, 11)
})
