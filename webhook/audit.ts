import type { Decision } from './decide.ts'

/**
 * For the API server's audit log, which puts the webhook's name before each key: `pod.reprieve.dev/outcome`. The audit log
 * tells later why a pod was not protected, even where its warnings are lost.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
 *
 * The API server asks a second time about nearly every pod that was changed (reinvocationPolicy). It keeps the first value of each key and logs
 * a warning of its own where another is given, so nothing is added then.
 */
export function auditOf(decision: Decision): Record<string, string> {
  if (decision.outcome === 'skip' && decision.reasons.includes('already-injected')) return {}
  return decision.outcome === 'inject'
    ? { outcome: 'inject', lineage: decision.plan.lineage }
    : { outcome: decision.outcome, reasons: decision.reasons.join(',') }
}
