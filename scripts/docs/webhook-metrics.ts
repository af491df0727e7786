/** What the webhook shows on /metrics. */
import { makeAuthority } from '../../certs/authority.ts'
import { createLog } from '../../src/log.ts'
import { measureOverload, measureProcess } from '../../webhook/gauges.ts'
import { Metrics } from '../../webhook/metrics.ts'
import { Overload } from '../../webhook/overload.ts'
import { Trust } from '../../webhook/trust.ts'

export async function webhookMetricsText(): Promise<string> {
  const metrics = new Metrics()
  const { registry } = metrics
  const trust = new Trust({
    api: { read: nowhere } as never,
    configuration: '',
    log: createLog('docs'),
    registry,
  })
  trust.serves(makeAuthority('docs', { from: new Date(), days: 1 }))
  measureProcess(registry)
  measureOverload(registry, new Overload({ requests: 1, bytes: 1, delayMs: 1 }, () => 0))
  return metrics.text()
}

function nowhere(): never {
  throw new Error('nobody is asked')
}
