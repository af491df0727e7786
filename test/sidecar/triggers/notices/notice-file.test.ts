import t from 'tap'
import { noticeKinds } from '../../../../sidecar/triggers/notices/notice.ts'
import { readNoticeFile } from '../../../../sidecar/triggers/notices/notice-file.ts'

const changedAt = Date.parse('2026-03-04T05:06:07.089Z')
const read = (text: string) => readNoticeFile({ name: 'x.json', text, changedAt }, 'folder', ['app', 'other'])

t.test('an empty object is an end of the whole pod, of which nobody says when', async (t) => {
  t.strictSame(read('{}'), {
    source: 'folder',
    id: `x.json ${changedAt}`,
    kind: 'pod-ended',
    container: undefined,
    deadline: undefined,
    certainty: 'certain',
    detail: 'x.json',
  })
})

t.test('a file can say all of it', async (t) => {
  const by = read('{"kind":"machine-terminated","by":"2026-03-04T05:08:00Z","certainty":"likely","container":"app","reason":"fan\\nfailed"}') // prettier-ignore
  t.match(by, {
    kind: 'machine-terminated',
    deadline: Date.parse('2026-03-04T05:08:00Z'),
    certainty: 'likely',
    container: 'app',
    detail: 'fan failed',
  })
  t.match(read('{"inMs": 30000}'), { deadline: changedAt + 30_000 })
  for (const kind of Object.keys(noticeKinds)) t.equal(read(JSON.stringify({ kind })).kind, kind)
})

t.test('an end is within what a date can tell, and what anybody can mean', async (t) => {
  t.match(read('{"inMs": 31622400000}'), { deadline: changedAt + 366 * 86_400_000 })
  t.match(read('{"by": "2199-12-31T23:59:59Z"}'), { deadline: Date.UTC(2200) - 1_000 })
  for (const inMs of [31_622_400_001, Number.MAX_SAFE_INTEGER])
    t.throws(() => read(JSON.stringify({ inMs })), {
      message: 'inMs must be a whole number of at most 31622400000, which is 366 days',
    })
  for (const by of [
    '0000-01-01T00:00:00Z',
    '2019-12-31T23:59:59Z',
    '2200-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999Z',
  ])
    // prettier-ignore
    t.throws(() => read(JSON.stringify({ by })), {
      message: 'by must be an instant of the years 2020 to 2199 such as 2026-01-02T03:04:05Z',
    })
  // tmpfs keeps whatever time a file is given.
  const far = { name: 'x.json', text: '{"inMs": 1}', changedAt: 1e18 }
  t.throws(() => readNoticeFile(far, 'folder', ['app']), {
    message: "inMs counts from the file's last change, which must be of the years 2020 to 2199",
  })
  t.match(readNoticeFile({ ...far, text: '{}' }, 'folder', ['app']), { deadline: undefined })
})

t.test('all that is wrong is said at once', async (t) => {
  t.throws(
    () =>
      read('{"kind":"toString","container":"c","by":"soon","inMs":-1,"certainty":1,"reason":7,"extra":1}'),
    {
      message:
        /^kind must be one of machine-terminated.*; certainty must be one of .*; container must be one of app, other; reason must .*; by must .*; inMs must .*; only one of by and inMs can be said; extra is not known$/,
    },
  )
  for (const bad of [
    '',
    'null',
    '[]',
    '7',
    '{',
    '{"by":null}',
    '{"by":1772600767}',
    '{"inMs":1.5}',
    '{"reason":"\\u0000"',
  ])
    t.throws(() => read(bad), bad)
})
