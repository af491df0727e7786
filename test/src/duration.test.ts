import t from 'tap'
import { parseDurationMs } from '../../src/duration.ts'

t.test('a duration is read as Go writes it', async (t) => {
  const spans: [string, number][] = [
    ['0', 0],
    ['250ms', 250],
    ['90s', 90_000],
    ['1.5m', 90_000],
    ['1h30m', 5_400_000],
    ['1h0m1s', 3_601_000],
  ]
  for (const [text, expected] of spans) t.equal(parseDurationMs(text), expected, text)
})

t.test('what is no duration is not read', async (t) => {
  for (const text of [
    '',
    '5',
    's',
    '1d',
    '-1s',
    '1 s',
    '1s ',
    '1e3s',
    `${'9'.repeat(40)}s`,
    '99999999999999999h',
  ])
    t.equal(parseDurationMs(text), undefined, JSON.stringify(text))
})
