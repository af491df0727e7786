/** Metrics that are read when Prometheus asks: the process, by the names of Prometheus' own clients, and the reviews under way. */
import { performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Overload } from './overload.ts'

const startedAtSeconds = Date.now() / 1000 - process.uptime()

/** A value that is read when it is asked for. */
type Reading = { name: string; help: string; read: () => number }

export function measureProcess(registry: Registry): void {
  total(registry, {
    name: 'process_cpu_seconds_total',
    help: 'Processor time that was used.',
    read: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    },
  })
  gauge(registry, {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    read: () => process.memoryUsage.rss(),
  })
  gauge(registry, {
    name: 'process_start_time_seconds',
    help: 'When the process began, since the epoch.',
    read: () => startedAtSeconds,
  })
  total(registry, {
    name: 'reprieve_event_loop_busy_seconds_total',
    help: 'Time in which the event loop had work. At a second a second it is at its limit, whatever the processor does.',
    read: () => performance.eventLoopUtilization().active / 1000,
  })
}

export function measureOverload(registry: Registry, overload: Overload): void {
  gauge(registry, {
    name: 'reprieve_reviews_in_flight',
    help: 'Reviews of pods that are being received or decided on.',
    read: () => overload.requests,
  })
  gauge(registry, {
    name: 'reprieve_reviews_in_flight_bytes',
    help: 'The size of their bodies.',
    read: () => overload.bytes,
  })
  gauge(registry, {
    name: 'reprieve_event_loop_delay_seconds',
    help: 'How long what comes now has waited before it was seen.',
    read: () => overload.delayMs / 1000,
  })
}

export function gauge(registry: Registry, { name, help, read }: Reading): void {
  const metric: Gauge = new Gauge({ name, help, registers: [registry], collect: () => metric.set(read()) })
}

function total(registry: Registry, { name, help, read }: Reading): void {
  const metric: Counter = new Counter({
    name,
    help,
    registers: [registry],
    collect: () => {
      metric.reset()
      metric.inc(read())
    },
  })
}
