/** The endpoints of the mutating webhook: from a body to an answer, counted and logged. Every failure admits the pod (fail open). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../src/config.ts'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import type { Admission } from './admit.ts'
import type { TimedAdmit } from './admit-with-images.ts'
import { auditOf } from './audit.ts'
import type { Decision, OptedInBy } from './decide.ts'
import { at } from './json-path.ts'
import type { Metrics } from './metrics.ts'
import type { Overload } from './overload.ts'
import { overloadHook } from './overload-hook.ts'
import { allow, readReview, sendAnswer, type AdmissionRequest } from './review.ts'
import type { SkipReason } from './skip-reasons.ts'
import { withinDeadline } from './within-deadline.ts'

export type MutationParts = {
  config: Config
  metrics: Metrics
  log: EventLog
  overload: Overload
  admit: TimedAdmit
  bodyLimitBytes: number
}

export function serveMutations(app: FastifyInstance, parts: MutationParts): void {
  app.decorateRequest('seenMs', 0)
  app.decorateRequest('answerByMs', 0)
  for (const optedInBy of ['pod', 'namespace', 'restricted-namespace'] as const)
    app.register(async (scope) => serveEntry(scope, optedInBy, parts))
}

function serveEntry(app: FastifyInstance, optedInBy: OptedInBy, parts: MutationParts): void {
  const { overload, metrics, log, bodyLimitBytes } = parts
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_incoming, text, done) => {
    try {
      // A text, not a buffer: memory outside its heap makes V8 collect garbage sooner (docs/decisions/0015).
      done(null, JSON.parse(text as string))
    } catch (error) {
      done(Object.assign(new Error(`the body is not JSON: ${describeError(error)}`), { statusCode: 400 }))
    }
  })
  // The API server retries a pod that asked for protection itself. A namespace's pods are admitted without delay.
  const onRequest = overloadHook({ overload, metrics, log, bodyLimitBytes, retry: optedInBy === 'pod' })
  app.post(`/mutate/${optedInBy}`, { onRequest }, (incoming, reply) =>
    answer(incoming, reply, optedInBy, parts),
  )
}

async function answer(
  incoming: FastifyRequest,
  reply: FastifyReply,
  optedInBy: OptedInBy,
  parts: MutationParts,
): Promise<FastifyReply> {
  const { metrics, log } = parts
  const review = readReview(incoming.body)
  if (!review.readable) {
    log.warn(
      { event: 'review.unreadable', why: review.why, uid: review.uid },
      'answered an unreadable review',
    )
    if (review.uid === undefined) return reply.code(400).send({ error: review.why })
    const admission = failOpen(review.uid, 'review-unreadable')
    metrics.countAdmission(admission.decision)
    return sendAnswer(reply, admission.response)
  }
  const { request } = review
  const outcome = await outcomeOf(request, optedInBy, incoming.answerByMs, parts)
  // A dry run leaves no trace but its log line.
  if (request.dryRun !== true) metrics.countAdmission(outcome.decision)
  logAdmission(log, { request, optedInBy, tookMs: performance.now() - incoming.seenMs }, outcome)
  return sendAnswer(reply, outcome.response)
}

/** An admission, and the error because of which it fails open. */
type Outcome = Admission & { failure?: unknown }

async function outcomeOf(
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  answerByMs: number,
  { admit, config }: MutationParts,
): Promise<Outcome> {
  const budgetMs = answerByMs - performance.now()
  try {
    const admission = admit(request, optedInBy, config, budgetMs)
    if (!(admission instanceof Promise)) return admission
    return await withinDeadline(
      budgetMs,
      () => admission,
      () => failOpen(request.uid, 'deadline-passed'),
    )
  } catch (failure) {
    return { ...failOpen(request.uid, 'internal-error'), failure }
  }
}

function failOpen(uid: string, reason: SkipReason): Admission {
  const warnings = [`this pod is not protected: ${reason}`]
  const decision: Decision = { outcome: 'skip', reasons: [reason], warnings }
  return { response: { ...allow(uid, warnings), auditAnnotations: auditOf(decision) }, decision }
}

/** The longest name of an object of Kubernetes; a longer text is cut in the log. */
const longestName = 253

/** A pod of a controller has no name yet, only the beginning of one (`generateName`). */
function nameOf({ name, object }: AdmissionRequest): string | undefined {
  const found = name || at(object, 'metadata', 'name') || at(object, 'metadata', 'generateName')
  return typeof found === 'string' ? found.slice(0, longestName) : undefined
}

type Asked = { request: AdmissionRequest; optedInBy: OptedInBy; tookMs: number }

function logAdmission(
  log: EventLog,
  { request, optedInBy, tookMs }: Asked,
  { decision, failure }: Outcome,
): void {
  const fields = {
    namespace: request.namespace,
    pod: nameOf(request),
    dryRun: request.dryRun === true,
    uid: request.uid,
    optedInBy,
    tookMs: Math.round(tookMs * 10) / 10,
    outcome: decision.outcome,
    ...(decision.outcome === 'inject' ? { lineage: decision.plan.lineage } : { reasons: decision.reasons }),
    ...(decision.outcome === 'refuse' ? { problems: decision.problems } : { warnings: decision.warnings }),
  }
  if (failure !== undefined)
    log.error({ event: 'review.failed_open', ...fields, error: describeError(failure) }, 'failed open')
  else if (decision.outcome === 'skip' && decision.reasons.includes('deadline-passed'))
    log.error({ event: 'review.failed_open', ...fields }, 'failed open')
  else log.info({ event: 'review.answered', ...fields }, 'answered a review')
}
