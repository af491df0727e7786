/** What the sidecar shows on /metrics, with one sample of everything, so that every label is seen. */
import { renderMetrics } from '../../sidecar/report/metrics.ts'

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
