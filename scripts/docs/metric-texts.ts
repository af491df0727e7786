/** What the sidecar and the webhook show on /metrics, with one sample of everything, so that every label is seen. */
import { makeAuthority } from '../../certs/authority.ts'
import { renderMetrics } from '../../sidecar/report/metrics.ts'
import { createLog } from '../../src/log.ts'
import { AdmissionCounts } from '../../webhook/admission-counts.ts'
import { AnswerTimes } from '../../webhook/answer-times.ts'
import { GuardCounts } from '../../webhook/guard/counts.ts'
import { Overload } from '../../webhook/overload.ts'
import { processMetrics } from '../../webhook/process-metrics.ts'
import { Trust } from '../../webhook/trust.ts'

export function sidecarMetricsText(): string {
  const at = '2026-01-02T03:04:05Z'
  const lead = { askedMs: 1, usedMs: 1 }
  return renderMetrics({
    containers: [
      { container: 'c', restoredFrom: undefined, rejected: [{ id: '', reason: 'finished', detail: '' }] },
    ],
    triggers: ['t'],
    newest: () => ({ at: 1, cpuMs: 1 }),
    sources: [{ source: 's', reachable: true, lastPollAt: at, lastAnswerAt: at, answers: 1, failures: 1, lastFailure: '', noticesSeen: 1, lead }], // prettier-ignore
    counts: [{ container: 'c', trigger: 't', outcome: 'taken', count: 1 }],
    last: [['c', { trigger: 't', reason: '', askedAt: at, leadAskedMs: 1, leadTakenMs: 1, outcome: 'taken', detail: '' }]], // prettier-ignore
  })
}

export function webhookMetricsText(): string {
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
