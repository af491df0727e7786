/** How long after an answer the next question is asked. */
import t from 'tap'
import { statusFailure } from '../../../../sidecar/triggers/clouds/cloud.ts'
import { pauseAfter } from '../../../../sidecar/triggers/clouds/cloud-watcher.ts'
import { retryAfterMs } from '../../../../sidecar/triggers/clouds/http-answer.ts'

const date = (ms: number) => new Date(ms).toUTCString()
const watch = { everyMs: 1_000, slowestMs: 5_000 }
const cases: [string, number, number | undefined, number][] = [
  ['after an answer', 0, undefined, 1_000],
  ['after a failure', 1, undefined, 2_000],
  ['after two', 2, undefined, 4_000],
  ['after many, no longer than still helps', 9, undefined, 5_000],
  ['after more than a power of two can hold', 5_000, undefined, 5_000],
  ['as long as the service asks for', 1, 3_000, 3_000],
  ['also where it would be longer otherwise', 9, 3_000, 3_000],
  ['but not beyond what still helps', 1, 3_600_000, 5_000],
  ['nor shorter than without failures', 1, 0, 1_000],
]
for (const [what, failures, asked, ms] of cases)
  t.test(`pauses ${what}`, async (t) => {
    t.equal(pauseAfter(watch, failures, asked), ms)
  })

t.test('Retry-After is seconds or a date, by the clock of who sends it', async (t) => {
  const now = Date.parse('2026-03-04T05:06:07Z')
  for (const [value, sent, ms] of [
    ['120', undefined, 120_000],
    ['0', undefined, 0],
    [date(now + 7_000), undefined, 7_000],
    [date(now + 7_000), date(now + 4_000), 3_000],
    [date(now - 7_000), undefined, 0],
    [undefined, undefined, undefined],
    ['', undefined, undefined],
    ['soon', undefined, undefined],
    ['-1', undefined, undefined],
    ['1e9', undefined, undefined],
    ['9'.repeat(100), undefined, undefined],
  ] as const) {
    const headers = new Map<string, string>()
    if (value !== undefined) headers.set('retry-after', value)
    if (sent !== undefined) headers.set('date', sent)
    t.equal(retryAfterMs(headers, now), ms, `${value}, sent at ${sent}`)
  }
})

t.test('and is told with the failure', async (t) => {
  const headers = new Map([['retry-after', '7']])
  t.match(statusFailure({ status: 429, headers, body: '' }, 'x').data, { status: 429, retryAfterMs: 7_000 })
})
