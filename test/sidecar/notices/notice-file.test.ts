import t from 'tap'
import { noticeKinds } from '../../../sidecar/notices/notice.ts'
import { readNoticeFile } from '../../../sidecar/notices/notice-file.ts'

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
