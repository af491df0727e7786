import t from 'tap'
import { AnswerTimes } from '../../webhook/answer-times.ts'

t.test(
  'what took as long as a bound says is within it, and each bound counts what is below it',
  async (t) => {
    const times = new AnswerTimes()
    for (const ms of [0.4, 1, 1.5, 1000, 31_000]) times.observe(ms)
    const lines = times.text().split('\n')
    const expected = { '0.0005': 1, '0.001': 2, '0.0025': 3, '0.5': 3, '1': 4, '10': 4, '30': 4, '+Inf': 5 }
    for (const [bound, count] of Object.entries(expected))
      t.ok(lines.includes(`reprieve_admission_duration_seconds_bucket{le="${bound}"} ${count}`), bound)
    t.ok(lines.includes('reprieve_admission_duration_seconds_count 5'))
    t.ok(lines.some((line) => line.startsWith('reprieve_admission_duration_seconds_sum 32.0029')))
  },
)

t.test('every bucket is there from the start', async (t) => {
  t.equal(new AnswerTimes().text().match(/_bucket\{le="[^"]+"\} 0$/gm)?.length, 16)
})
