/** The admission endpoint: HTTPS as an API server speaks it. It answers whatever comes, and fails open. */
import fastify, { type FastifyInstance } from 'fastify'
import { describeError } from '../src/errors.ts'
import type { Log } from '../src/log.ts'
import type { AdmissionCounts } from './admission-counts.ts'
import type { Admission } from './admit.ts'
import type { TimedAdmit } from './admit-with-images.ts'
import { auditOf } from './audit.ts'
import type { Decision, OptedInBy } from './decide.ts'
import { serveGuard, type GuardParts } from './guard/route.ts'
import type { Overload } from './overload.ts'
import { overloadHook } from './overload-hook.ts'
import { allow, readReview, sendAnswer, type AdmissionRequest } from './review.ts'
import type { SkipReason } from './skip-reasons.ts'
import type { CertificatePair } from './serving-certificate.ts'
import { withinDeadline } from './within-deadline.ts'

export type ServerParts = GuardParts & {
  certificate: CertificatePair
  counts: AdmissionCounts
  overload: Overload
  admit: TimedAdmit
}

/** API servers close idle connections after 90 s; whoever closes first makes the other's next request fail. */
const keepAliveMs = 120_000
/** A pod can be large (etcd takes 1.5 MiB, a review holds it up to twice), but never this large. */
const bodyLimitBytes = 10 * 1024 * 1024
const requestTimeoutMs = 35_000

export function createServer(parts: ServerParts): FastifyInstance {
  const { config, certificate, counts, log } = parts
  const app = fastify({
    https: { ...certificate, minVersion: 'TLSv1.2' },
    logger: false,
    bodyLimit: bodyLimitBytes,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: 'idle',
    // The parsed review is only read, field by own field: such keys are data like any other, and no reason to fail.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
  }) as unknown as FastifyInstance

  app.decorateRequest('answerByMs', 0)
  const serve = (path: string, optedInBy: OptedInBy) => {
    // A pod that asked for protection itself is worth a second's wait. Of the other kind nobody is to notice anything.
    const onRequest = overloadHook({
      overload: parts.overload,
      log,
      bodyLimitBytes,
      retry: optedInBy === 'pod',
    })
    app.post(path, { onRequest }, async (incoming, reply) => {
      const review = readReview(incoming.body)
      if (!review.readable) {
        log.warn({ why: review.why, uid: review.uid }, 'answered an unreadable review')
        if (review.uid === undefined) return reply.code(400).send({ error: review.why })
        const admission = failOpen(review.uid, 'review-unreadable')
        counts.count(admission.decision)
        return sendAnswer(reply, admission.response)
      }
      const request = review.request
      const begun = performance.now()
      let failure: unknown
      const budgetMs = incoming.answerByMs - begun
      const admission = await withinDeadline(
        budgetMs,
        (signal) => parts.admit(request, optedInBy, config, signal, budgetMs),
        () => failOpen(request.uid, 'deadline-passed'),
      ).catch((error: unknown) => {
        failure = error
        return failOpen(request.uid, 'internal-error')
      })
      // A dry run leaves no trace but its log line.
      if (request.dryRun !== true) counts.count(admission.decision)
      logAdmission(log, request, optedInBy, admission, performance.now() - begun, failure)
      return sendAnswer(reply, admission.response)
    })
  }
  serve('/mutate/pod', 'pod')
  serve('/mutate/namespace', 'namespace')
  serveGuard(app, parts)

  app.setErrorHandler((error, _incoming, reply) => {
    const code = statusOf(error)
    log[code >= 500 ? 'error' : 'warn']({ code, error: describeError(error) }, 'refused a request')
    return reply.code(code).send({ error: describeError(error) })
  })
  return app
}

function failOpen(uid: string, reason: SkipReason): Admission {
  const warnings = [`this pod is not protected: ${reason}`]
  const decision: Decision = { outcome: 'skip', reasons: [reason], warnings }
  return { response: { ...allow(uid, warnings), auditAnnotations: auditOf(decision) }, decision }
}

function statusOf(error: unknown): number {
  const code = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof code === 'number' && code >= 400 && code < 600 ? code : 500
}

function logAdmission(
  log: Log,
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  { decision }: Admission,
  tookMs: number,
  failure: unknown,
): void {
  const facts = {
    uid: request.uid,
    namespace: request.namespace,
    optedInBy,
    dryRun: request.dryRun === true,
    tookMs: Math.round(tookMs * 10) / 10,
    outcome: decision.outcome,
    ...(decision.outcome === 'inject' ? { lineage: decision.plan.lineage } : { reasons: decision.reasons }),
    ...(decision.outcome === 'refuse' ? { problems: decision.problems } : { warnings: decision.warnings }),
  }
  if (failure !== undefined) log.error({ ...facts, error: describeError(failure) }, 'failed open')
  else if (decision.outcome === 'skip' && decision.reasons.includes('deadline-passed'))
    log.error(facts, 'failed open')
  else log.info(facts, 'answered a review')
}
