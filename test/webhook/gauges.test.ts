import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Registry } from 'prom-client'
import { measureOverload, measureProcess } from '../../webhook/gauges.ts'
import { Overload } from '../../webhook/overload.ts'
import { sample } from './running-webhook.ts'

const registry = new Registry()
measureProcess(registry)

async function value(name: string): Promise<number> {
  return sample(await registry.metrics(), name)
}

t.test('the gauges report the usage of the process in seconds and bytes', async (t) => {
  const megabytes = (await value('process_resident_memory_bytes')) / 1e6
  t.ok(Math.abs(megabytes - process.memoryUsage.rss() / 1e6) < 50, `${megabytes} MB`)
  const age = Date.now() / 1000 - (await value('process_start_time_seconds'))
  t.ok(Math.abs(age - process.uptime()) < 1, `${age} s`)
})

t.test('work makes the loop busy and costs processor time, and waiting does not', async (t) => {
  const busy = () => value('reprieve_event_loop_busy_seconds_total')
  await sleep(1)
  const begun = [await busy(), await value('process_cpu_seconds_total')] as const
  for (const until = performance.now() + 300; performance.now() < until;);
  await sleep(1)
  const worked = (await busy()) - begun[0]
  t.ok(worked > 0.25, `${worked} s of 0.3 s`)
  t.ok((await value('process_cpu_seconds_total')) > begun[1])
  const before = await busy()
  await sleep(500)
  const waited = (await busy()) - before
  t.ok(waited < 0.25, `${waited} s of 0.5 s`)
})

t.test('the reviews under way are counted when Prometheus asks', async (t) => {
  const registry = new Registry()
  const overload = new Overload({ requests: 9, bytes: 99, delayMs: 10_000 }, () => 1234.5)
  measureOverload(registry, overload)
  overload.enter(30, 9500)
  const text = await registry.metrics()
  t.equal(sample(text, 'reprieve_reviews_in_flight'), 1)
  t.equal(sample(text, 'reprieve_reviews_in_flight_bytes'), 30)
  t.equal(sample(text, 'reprieve_event_loop_delay_seconds'), 1.2345)
})
