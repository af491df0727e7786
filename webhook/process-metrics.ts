/**
 * What the process itself uses, by the names that Prometheus' own clients give it.
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
 */
import { performance } from 'node:perf_hooks'

const startedAt = Date.now() / 1000 - process.uptime()

export function processMetrics(): string {
  const { user, system } = process.cpuUsage()
  return [
    metric('process_cpu_seconds_total', 'counter', 'Processor time that was used.', (user + system) / 1e6),
    metric('process_resident_memory_bytes', 'gauge', 'Resident memory.', process.memoryUsage.rss()),
    metric('process_start_time_seconds', 'gauge', 'When the process began, since the epoch.', startedAt),
    metric(
      'reprieve_event_loop_busy_seconds_total',
      'counter',
      'Time in which the event loop had work. At a second a second it is at its limit, whatever the processor does.',
      performance.eventLoopUtilization().active / 1000,
    ),
  ].join('')
}

function metric(name: string, type: 'counter' | 'gauge', help: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`
}
