import fc from 'fast-check'
import t from 'tap'
import { doomedSlots, livingMs, pendingMs, type SlotState } from '../../src/store/retention.ts'

const hour = 3_600_000
const slot = (lineage: string, idleMs: number, bytes = 10): SlotState => ({
  namespace: lineage.split('+')[0] ?? '',
  lineage,
  container: 'main',
  idleMs,
  bytes,
})
const names = (slots: SlotState[], retention: Parameters<typeof doomedSlots>[1]) =>
  doomedSlots(slots, retention).map(({ slot: { lineage }, why }) => `${lineage} ${why}`)

t.test('what has been idle for longer than its time to live goes', async (t) => {
  const slots = [slot('a+x', 2 * hour), slot('a+y', 4 * hour), slot('b+z', 5 * hour)]
  t.same(names(slots, { ttlMs: 3 * hour }), ['b+z ttl', 'a+y ttl'])
})

t.test('a namespace beyond its bound loses what ended longest ago, and no more than it must', async (t) => {
  const slots = [
    slot('a+x', 31 * hour),
    slot('a+y', 32 * hour),
    slot('a+z', 33 * hour),
    slot('b+x', 33 * hour, 99),
  ]
  t.same(names(slots, { ttlMs: 90 * hour, namespaceBytes: 20 }), ['a+z bytes', 'b+x bytes'])
  t.same(names(slots, { ttlMs: 32.5 * hour, namespaceBytes: 20 }), ['a+z ttl', 'b+x ttl'])
})

t.test('the checkpoint of a pod that is Pending makes no room for others', async (t) => {
  const slots = [slot('a+pending', 3 * hour, 50), slot('a+other', 2 * hour, 50)]
  t.same(names(slots, { ttlMs: 90 * hour, namespaceBytes: 20 }), [])
})

t.test('of whatever slots: none that may live goes, and none stays whose time is over', async () => {
  const any = fc.record({
    lineage: fc.constantFrom('a+1', 'a+2', 'b+1', 'b+2', 'c+1'),
    idleMs: fc.integer({ min: -hour, max: 50 * hour }),
    bytes: fc.nat(100),
  })
  const bound = fc.option(fc.nat(200), { nil: undefined })
  fc.assert(
    fc.property(fc.array(any), fc.integer({ min: hour, max: 40 * hour }), bound, (all, ttlMs, most) => {
      const slots = all.map(({ lineage, idleMs, bytes }) => slot(lineage, idleMs, bytes))
      const doomed = doomedSlots(slots, { ttlMs, ...(most === undefined ? {} : { namespaceBytes: most }) })
      const gone = new Set(doomed.map((each) => each.slot))
      const left = slots.filter((each) => !gone.has(each))
      const leftBytes = (namespace: string) =>
        left.reduce((sum, each) => sum + (each.namespace === namespace ? each.bytes : 0), 0)
      return (
        doomed.length === gone.size &&
        [...gone].every(({ idleMs }) => idleMs > livingMs) &&
        left.every(({ idleMs }) => idleMs <= ttlMs) &&
        left.every(
          ({ namespace, idleMs, bytes }) =>
            most === undefined || bytes === 0 || idleMs <= pendingMs || leftBytes(namespace) <= most,
        )
      )
    }),
  )
})
