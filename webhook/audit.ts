import type { Decision } from './decide.ts'

/**
 * For the API server's audit log, which puts the webhook's name before each key: `pod.reprieve.dev/outcome`. Whoever asks later why a pod
 * was not protected finds it there, whatever became of its warnings.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
 */
export function auditOf(decision: Decision): Record<string, string> {
  return decision.outcome === 'inject'
    ? { outcome: 'inject', lineage: decision.plan.lineage }
    : { outcome: decision.outcome, reasons: decision.reasons.join(',') }
}
