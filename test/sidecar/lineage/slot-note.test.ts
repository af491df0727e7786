import t from 'tap'
import { AnnouncedEnd, parseNote } from '../../../sidecar/lineage/slot-note.ts'

const note = (more: object) => parseNote(JSON.stringify({ pod: 'p', uid: 'u', node: 'n', ...more }))
const hour = 3_600_000

t.test(
  'an announced end is counted from when it was first read, whatever the clock of the holder says',
  async (t) => {
    for (const skew of [-hour, 0, hour]) {
      const announced = new AnnouncedEnd()
      const leaving = note({ leavesBy: 50_000 + 30_000 + skew, leavesInMs: 30_000 })
      t.equal(announced.by(leaving, 50_000), 80_000)
      t.equal(announced.by(leaving, 51_000), 80_000, 'and not anew each time')
    }
  },
)

t.test('another announcement counts from when it is read', async (t) => {
  const announced = new AnnouncedEnd()
  t.equal(announced.by(note({ leavesBy: 1, leavesInMs: 30_000 }), 50_000), 80_000)
  t.equal(announced.by(note({ leavesBy: 2, leavesInMs: 10_000 }), 60_000), 70_000)
})

t.test('one of an earlier release is an instant; a holder that says nothing stays', async (t) => {
  t.equal(new AnnouncedEnd().by(note({ leavesBy: 70_000 }), 1_000, 50_000), 21_000)
  t.equal(new AnnouncedEnd().by(note({}), 50_000), 0)
  t.equal(new AnnouncedEnd().by(undefined, 50_000), 0)
})

t.test('the holder tells what it does, in a form that is checked', async (t) => {
  const work = { fingerprint: 'f', incarnation: 'u-1', parts: { 'env A': 'abc' } }
  t.strictSame(note({ work })?.work, work)
  t.strictSame(note({ work: { fingerprint: 'f' } })?.work, { fingerprint: 'f' })
  for (const wrong of [null, 7, {}, { fingerprint: 7 }, { fingerprint: 'f', parts: { a: 'not hex' } }])
    t.equal(note({ work: wrong })?.work, undefined, JSON.stringify(wrong))
})

t.test('what is no note is none', async (t) => {
  for (const text of ['', '{', 'null', '[]', '{"pod":1}']) t.equal(parseNote(text), undefined, text)
  t.strictSame(note({ leavesBy: 'soon', leavesInMs: null }), { pod: 'p', uid: 'u', node: '' })
})
