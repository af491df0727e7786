/** What the webhook shows on /metrics, with one sample of everything, so that every label is seen. */
import { makeAuthority } from '../../certs/authority.ts'
import { createLog } from '../../src/log.ts'
import { AdmissionCounts } from '../../webhook/admission-counts.ts'
import { AnswerTimes } from '../../webhook/answer-times.ts'
import { GuardCounts } from '../../webhook/guard/counts.ts'
import { Overload } from '../../webhook/overload.ts'
import { processMetrics } from '../../webhook/process-metrics.ts'
import { Trust } from '../../webhook/trust.ts'

export async function webhookMetricsText(): Promise<string> {
  const api = { read: unasked, write: unasked }
  const log = createLog('docs')
  const trust = new Trust({ api: api as never, configuration: '', log })
  trust.serves(makeAuthority('docs', { from: new Date(), days: 1 }))
  const overload = new Overload({ requests: 1, bytes: 1, delayMs: 1 }, () => 0)
  const texts = [new AdmissionCounts(), new GuardCounts(), new AnswerTimes(), overload, trust].map((one) =>
    one.text(),
  )
  return [...texts, processMetrics()].join('')
}

function unasked(): never {
  throw new Error('nobody is asked')
}
