/** What an answer means, and how long the next try waits. */
import t from 'tap'
import { verdictOf } from '../../src/objects/answers.ts'
import { longestRetryAfterMs, pauseMs, retryAfterMs } from '../../src/objects/back-off.ts'

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5)
const answer = (status: number, code = '', headers: Record<string, string> = {}) => ({
  status,
  headers,
  body: Buffer.from(code === '' ? '' : `<?xml version="1.0"?>\n<Error><Code>${code}</Code></Error>`),
})

t.test('every kind of answer has its meaning', async (t) => {
  const table: [number, string, string][] = [
    [200, '', 'done'], [204, '', 'done'], [206, '', 'done'],
    [301, 'PermanentRedirect', 'failed'], [304, '', 'failed'], [307, 'TemporaryRedirect', 'failed'],
    [400, 'BadDigest', 'again'], [400, 'IncompleteBody', 'again'], [400, 'RequestTimeout', 'again'],
    [400, 'ExpiredToken', 'denied'], [400, 'EntityTooLarge', 'full'], [400, 'MalformedXML', 'failed'], [400, '', 'failed'],
    [401, '', 'denied'], [403, 'AccessDenied', 'denied'], [403, 'SignatureDoesNotMatch', 'denied'],
    [403, 'RequestTimeTooSkewed', 'denied'], [403, 'QuotaExceeded', 'full'], [403, '', 'denied'],
    [404, 'NoSuchKey', 'missing'], [404, '', 'missing'], [404, 'NoSuchBucket', 'failed'],
    [405, '', 'failed'], [408, '', 'again'], [409, 'ConditionalRequestConflict', 'conflict'], [411, '', 'failed'],
    [412, 'PreconditionFailed', 'exists'], [416, 'InvalidRange', 'beyond-end'], [425, '', 'again'],
    [429, 'TooManyRequests', 'again'], [500, 'InternalError', 'again'], [501, 'NotImplemented', 'failed'],
    [502, '', 'again'], [503, 'SlowDown', 'again'], [504, '', 'again'], [507, 'XMinioStorageFull', 'full'], [507, '', 'full'],
    [100, '', 'failed'], [0, '', 'failed'],
  ] // prettier-ignore
  for (const [status, code, kind] of table)
    t.equal(verdictOf(answer(status, code), nowMs).kind, kind, `${status} ${code}`)
})

t.test('of an answer only its code is repeated', async (t) => {
  const body = Buffer.from(
    `<Error><Code>Strange</Code><Message>https://x/?X-Amz-Signature=1</Message></Error>`,
  )
  t.same(verdictOf({ status: 400, headers: {}, body }, nowMs), { kind: 'failed', said: 'HTTP 400 Strange' })
  const forged = Buffer.from(`<Code>a b\n?X-Amz-Signature=1</Code>`)
  t.same(verdictOf({ status: 400, headers: {}, body: forged }, nowMs), { kind: 'failed', said: 'HTTP 400' })
})

t.test('a refusal tells of clocks that are more than a minute apart', async (t) => {
  const said = (apartMs: number) => {
    const verdict = verdictOf(answer(403, '', { date: new Date(nowMs + apartMs).toUTCString() }), nowMs)
    return 'said' in verdict ? verdict.said : ''
  }
  t.equal(said(30_000), 'HTTP 403')
  t.equal(said(1_200_000), "HTTP 403; the store's clock is 1200 s ahead of this one's")
  t.equal(said(-1_200_000), "HTTP 403; the store's clock is 1200 s behind this one's")
  t.match(verdictOf(answer(403, '', { date: 'nonsense' }), nowMs), { said: 'HTTP 403' })
})

t.test('Retry-After is seconds or a date', async (t) => {
  t.equal(retryAfterMs('7', nowMs), 7_000)
  t.equal(retryAfterMs('0', nowMs), 0)
  t.equal(retryAfterMs(new Date(nowMs + 9_000).toUTCString(), nowMs), 9_000)
  t.equal(retryAfterMs(new Date(nowMs - 9_000).toUTCString(), nowMs), 0)
  for (const nonsense of [undefined, '', 'soon'])
    t.equal(retryAfterMs(nonsense, nowMs), undefined, String(nonsense))
})

t.test(
  'a pause doubles up to its longest, is never none, and never much longer than the server asks for',
  async (t) => {
    const backOff = { tries: 9, firstMs: 100, longestMs: 1_000 }
    const pauses = (random: number) => [1, 2, 3, 4, 5, 50].map((failures) => pauseMs(backOff, failures, undefined, random)) // prettier-ignore
    t.same(pauses(1), [100, 200, 400, 800, 1_000, 1_000])
    t.same(pauses(0), [50, 100, 200, 400, 500, 500])
    t.equal(pauseMs(backOff, 1, 3_000, 0), 3_000)
    t.ok(pauseMs(backOff, 1, 3_000, 1) > 3_000, 'a thousand nodes do not come back at once')
    t.ok(pauseMs(backOff, 1, 3_600_000, 1) <= longestRetryAfterMs + 100)
    t.ok(pauseMs(backOff, 1, -5, 0) >= 0)
  },
)
