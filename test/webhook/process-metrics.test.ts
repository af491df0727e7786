import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { processMetrics } from '../../webhook/process-metrics.ts'

function value(name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(processMetrics())?.[1])
}

t.test('what the process is told to use is what it uses, in seconds and bytes', async (t) => {
  const megabytes = value('process_resident_memory_bytes') / 1e6
  t.ok(Math.abs(megabytes - process.memoryUsage.rss() / 1e6) < 50, `${megabytes} MB`)
  const age = Date.now() / 1000 - value('process_start_time_seconds')
  t.ok(Math.abs(age - process.uptime()) < 1, `${age} s`)
})

t.test('work makes the loop busy and costs processor time, and waiting does not', async (t) => {
  const busy = () => value('reprieve_event_loop_busy_seconds_total')
  await sleep(1)
  const begun = [busy(), value('process_cpu_seconds_total')] as const
  for (const until = performance.now() + 300; performance.now() < until;);
  await sleep(1)
  const worked = busy() - begun[0]
  t.ok(worked > 0.25, `${worked} s of 0.3 s`)
  t.ok(value('process_cpu_seconds_total') > begun[1])
  const before = busy()
  await sleep(500)
  const waited = busy() - before
  t.ok(waited < worked, `${waited} s of 0.5 s`)
})
