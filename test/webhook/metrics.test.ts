import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { until } from '../until.ts'
import { admit } from '../../webhook/admit.ts'
import { bucketBounds, Metrics } from '../../webhook/metrics.ts'
import { overloadReasons } from '../../webhook/overload.ts'
import { skipReasons, type SkipReason } from '../../webhook/skip-reasons.ts'
import { recorded } from './admission-fixtures.ts'
import { sample, startWebhook } from './running-webhook.ts'

t.test('a bucket counts what took no longer than its bound, and the last one counts all', async (t) => {
  const metrics = new Metrics()
  for (const ms of [0, 1, 2, 9_999, 10_000, 10_001, 60_000]) metrics.observe('pod', ms)
  const text = await metrics.text()
  const counted = (le: string) =>
    sample(text, `reprieve_admission_duration_seconds_bucket{le="${le}",entry="pod"}`)
  t.equal(counted('0.001'), 2)
  t.equal(counted('0.0025'), 3)
  t.equal(counted('5'), 3)
  t.equal(counted('10'), 5)
  t.equal(counted('+Inf'), 7)
  t.match(text, 'reprieve_admission_duration_seconds_sum{entry="pod"} 90.003\n')
  t.match(text, 'reprieve_admission_duration_seconds_count{entry="pod"} 7\n')
  t.match(text, 'reprieve_admission_duration_seconds_count{entry="guard"} 0\n')
})

t.test('the buckets reach from what a decision takes to what an API server waits', async (t) => {
  t.same([bucketBounds.at(0), bucketBounds.at(-1)], [0.001, 10])
  t.same(
    [...bucketBounds].sort((a, b) => a - b),
    bucketBounds,
  )
})

t.test('a running webhook counts each answer by its entry, with all the time that it took', async (t) => {
  const { webhook, client } = await startWebhook(t, {
    admit: async (...all) => {
      await sleep(300)
      return admit(all[0], all[1], all[2])
    },
  })
  await client.post('/mutate/pod', recorded('create-bare-pod').text)
  await client.post('/validate', recorded('connect-exec').text)
  await client.postAlone('/elsewhere', '{}')
  // An answer is counted when all of it is out, just after the client has it.
  const text = await until('the last to be counted', async () => {
    const text = await (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text()
    return /count\{entry="guard"\} 1/.test(text) && text
  })
  t.match(text, /_bucket{le="0.25",entry="pod"} 0\n/)
  t.match(text, /_bucket{le="10",entry="pod"} 1\n/)
  t.match(text, /_count\{entry="namespace"\} 0\n/)
  t.match(text, /_count\{entry="guard"\} 1\n/)
})

t.test('every series is there from the start, whatever has not happened yet', async (t) => {
  const text = await new Metrics().text()
  const admissions = (labels: string) => sample(text, `reprieve_admissions_total{${labels}}`)
  t.equal(admissions('outcome="inject",reason=""'), 0)
  for (const reason of Object.keys(skipReasons) as SkipReason[]) {
    t.equal(admissions(`outcome="skip",reason="${reason}"`), 0, reason)
    if (skipReasons[reason].whenAsked === 'refuse')
      t.equal(admissions(`outcome="refuse",reason="${reason}"`), 0, reason)
  }
  for (const reason of Object.keys(overloadReasons))
    t.equal(sample(text, `reprieve_overload_refusals_total{reason="${reason}"}`), 0, reason)
})
