import fc from 'fast-check'
import t from 'tap'
import {
  diedEarly,
  earlyDeathsOf,
  emptySlotRecord,
  finished,
  needs,
  parseSlotRecord,
  provedAlive,
  serializeSlotRecord,
  slotRecordLimits,
} from '../../src/slot-record.ts'
import { sealJson } from '../../src/sealed-json.ts'

const id = '20260102T030405.678Z-0a1b2c3d'
const other = '20260102T030405.679Z-0a1b2c3d'
const fresh = emptySlotRecord()

t.test('early deaths add up until the application has proved itself alive', async (t) => {
  const twice = diedEarly(diedEarly(fresh, id, 'exit 1'), id, 'exit 2')
  t.same(twice.trials[id], { earlyDeaths: 2, lastReason: 'exit 2' })
  t.same(provedAlive(twice, id), fresh)
})

t.test("one checkpoint's trials leave those of another alone", async (t) => {
  const both = diedEarly(diedEarly(fresh, id, 'a'), other, 'b')
  t.same(provedAlive(both, id).trials, { [other]: { earlyDeaths: 1, lastReason: 'b' } })
})

t.test('a record of as many trials as it can hold takes another one, in place of the oldest', async (t) => {
  const trials = Object.fromEntries(
    Array.from({ length: slotRecordLimits.trials }, (_, index) => [
      `20260102T030405.000Z-${index.toString(16).padStart(8, '0')}`,
      { earlyDeaths: 1, lastReason: 'exit 1' },
    ]),
  )
  const record = diedEarly({ ...fresh, trials }, id, 'exit 1')
  t.doesNotThrow(() => serializeSlotRecord(record))
  t.equal(earlyDeathsOf(record, id), 1)
  t.equal(earlyDeathsOf(record, '20260102T030405.000Z-00000000'), 0, 'the oldest')
  t.equal(earlyDeathsOf(record, '20260102T030405.000Z-00000001'), 1)
})

t.test('the end of the application is remembered beside the trials', async (t) => {
  const record = finished(diedEarly(fresh, id, 'a'), '2026-01-02T03:04:05.678Z')
  t.equal(record.finishedAt, '2026-01-02T03:04:05.678Z')
  t.equal(earlyDeathsOf(record, id), 1)
})

t.test('no transition changes the record it was given', async (t) => {
  const record = Object.freeze({
    ...diedEarly(fresh, id, 'a'),
    trials: Object.freeze(diedEarly(fresh, id, 'a').trials),
  })
  const before = JSON.stringify(record)
  diedEarly(record, id, 'b')
  provedAlive(record, id)
  finished(record, '2026-01-02T03:04:05.678Z')
  t.equal(JSON.stringify(record), before)
})

t.test('whatever happened, the record can be written and reads back the same', async (t) => {
  const deeds = fc.array(
    fc.record({
      which: fc.constantFrom(id, other),
      deed: fc.nat(2),
      reason: fc.string({ unit: 'binary', maxLength: 9000 }),
    }),
  )
  fc.assert(
    fc.property(deeds, (list) => {
      const record = list.reduce((at, { which, deed, reason }) => {
        if (deed === 0) return diedEarly(at, which, reason)
        return deed === 1 ? provedAlive(at, which) : finished(at, '2026-01-02T03:04:05.678Z')
      }, fresh)
      t.strictSame(parseSlotRecord(serializeSlotRecord(record)), record)
    }),
  )
})

t.test('what is needed only grows, until the work is finished', async (t) => {
  const first = needs(fresh, { memoryBytes: 2, podUid: 'one' })
  t.equal(
    needs(first, { memoryBytes: 1, podUid: 'two' }),
    first,
    'one that was given less is still known by the other',
  )
  t.strictSame(needs(first, { memoryBytes: 3, podUid: 'two' }).needs, { memoryBytes: 3, podUid: 'two' })
  t.strictSame(needs(finished(first, '2026-01-02T03:04:05.678Z'), { memoryBytes: 1, podUid: 'two' }).needs, { memoryBytes: 1, podUid: 'two' }) // prettier-ignore
})

t.test('a long last word is cut, so that the record stays writable', async (t) => {
  const record = diedEarly(fresh, id, '😀'.repeat(100_000))
  t.ok(serializeSlotRecord(record).length < slotRecordLimits.reasonBytes * 2)
})

t.test('a record of another form is refused', async (t) => {
  for (const content of [
    null,
    [],
    {},
    { version: 2, trials: {} },
    { version: 1, trials: { nonsense: { earlyDeaths: 1, lastReason: '' } } },
    { version: 1, trials: { [id]: { earlyDeaths: -1, lastReason: '' } } },
    { version: 1, trials: {}, finishedAt: 'soon' },
    JSON.parse('{"version":1,"trials":{"__proto__":{"earlyDeaths":1,"lastReason":""}}}'),
  ])
    t.throws(() => parseSlotRecord(sealJson(content)), { code: 'manifest-invalid' }, JSON.stringify(content))
  t.throws(
    () => parseSlotRecord(Buffer.from('{"version":1,"trials":{}}')),
    { code: 'manifest-invalid' },
    'unsealed',
  )
})
