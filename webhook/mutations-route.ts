/** The endpoints of the mutating webhook: from a body to an answer, counted and told. Whatever fails, they fail open. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../src/config.ts'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import type { AdmissionCounts } from './admission-counts.ts'
import type { Admission } from './admit.ts'
import type { TimedAdmit } from './admit-with-images.ts'
import { auditOf } from './audit.ts'
import type { Decision, OptedInBy } from './decide.ts'
import { at } from './json-path.ts'
import type { Overload } from './overload.ts'
import { overloadHook } from './overload-hook.ts'
import { RememberedAnswers, type About, type Remembered } from './remembered-answers.ts'
import { readReviewBody, type ReviewBody } from './review-body.ts'
import { allow, readReview, sendAnswer, sendText, type AdmissionRequest } from './review.ts'
import type { SkipReason } from './skip-reasons.ts'
import { withinDeadline } from './within-deadline.ts'

export type MutationParts = {
  config: Config
  counts: AdmissionCounts
  log: EventLog
  overload: Overload
  admit: TimedAdmit
}

type Body = { body: ReviewBody } | { known: { uid: string; remembered: Remembered } }

export function serveMutations(app: FastifyInstance, parts: MutationParts, bodyLimitBytes: number): void {
  app.decorateRequest('seenMs', 0)
  app.decorateRequest('answerByMs', 0)
  for (const optedInBy of ['pod', 'namespace', 'restricted-namespace'] as const)
    app.register(async (scope) => serveEntry(scope, `/mutate/${optedInBy}`, optedInBy, parts, bodyLimitBytes))
}

function serveEntry(
  app: FastifyInstance,
  path: string,
  optedInBy: OptedInBy,
  parts: MutationParts,
  bodyLimitBytes: number,
): void {
  const { overload, log } = parts
  const answers = new RememberedAnswers()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_incoming, text: Buffer, done) => {
    try {
      const read = readReviewBody(text, ({ uid, key }) => {
        const remembered = answers.find(key)
        return remembered === undefined ? undefined : { uid, remembered }
      })
      done(null, read satisfies Body)
    } catch (error) {
      done(Object.assign(new Error(`the body is not JSON: ${describeError(error)}`), { statusCode: 400 }))
    }
  })
  // A pod that asked for protection itself is worth a second's wait. Of the other kind nobody is to notice anything.
  const onRequest = overloadHook({ overload, log, bodyLimitBytes, retry: optedInBy === 'pod' })
  app.post(path, { onRequest }, async (incoming, reply) => {
    // Without a body there is nothing that was read.
    const read = (incoming.body ?? { body: { parsed: undefined } }) as Body
    return 'known' in read
      ? answerAgain(read.known, incoming, reply, optedInBy, parts)
      : answerNew(read.body, incoming, reply, optedInBy, parts, answers)
  })
}

function answerAgain(
  { uid, remembered }: { uid: string; remembered: Remembered },
  incoming: FastifyRequest,
  reply: FastifyReply,
  optedInBy: OptedInBy,
  parts: MutationParts,
): FastifyReply {
  const { decision, about } = remembered
  record(parts, incoming, { ...about, uid }, optedInBy, decision)
  return sendText(reply, remembered.answerTo(uid))
}

async function answerNew(
  { parsed, key }: ReviewBody,
  incoming: FastifyRequest,
  reply: FastifyReply,
  optedInBy: OptedInBy,
  parts: MutationParts,
  answers: RememberedAnswers,
): Promise<FastifyReply> {
  const { config, counts, log } = parts
  const review = readReview(parsed)
  if (!review.readable) {
    log.warn(
      { event: 'review.unreadable', why: review.why, uid: review.uid },
      'answered an unreadable review',
    )
    if (review.uid === undefined) return reply.code(400).send({ error: review.why })
    const admission = failOpen(review.uid, 'review-unreadable')
    counts.count(admission.decision)
    return sendAnswer(reply, admission.response)
  }
  const { request } = review
  let failure: unknown
  let isLasting = false
  const budgetMs = incoming.answerByMs - performance.now()
  const { decision, response } = await withinDeadline(
    budgetMs,
    (signal) => {
      const admitted = parts.admit(request, optedInBy, config, signal, budgetMs)
      isLasting = !(admitted instanceof Promise)
      return admitted
    },
    () => failOpen(request.uid, 'deadline-passed'),
  ).catch((error: unknown) => {
    failure = error
    return failOpen(request.uid, 'internal-error')
  })
  const about = aboutOf(request)
  record(parts, incoming, { ...about, uid: request.uid }, optedInBy, decision, failure)
  if (isLasting && key !== undefined) answers.offer(key, about, response, decision)
  return sendAnswer(reply, response)
}

function failOpen(uid: string, reason: SkipReason): Admission {
  const warnings = [`this pod is not protected: ${reason}`]
  const decision: Decision = { outcome: 'skip', reasons: [reason], warnings }
  return { response: { ...allow(uid, warnings), auditAnnotations: auditOf(decision) }, decision }
}

type Asked = About & { uid: string }

/** Of an object of Kubernetes; what is longer is no name, and is not told whole. */
const longestName = 253

/** A pod of a controller has no name yet, but what its name is to begin with. */
function aboutOf({ name, namespace, object, dryRun }: AdmissionRequest): About {
  const found = name || at(object, 'metadata', 'name') || at(object, 'metadata', 'generateName')
  const pod = typeof found === 'string' ? found.slice(0, longestName) : undefined
  return { namespace, pod, dryRun: dryRun === true }
}

/** A dry run leaves no trace but its log line. */
function record(
  { counts, log }: MutationParts,
  { seenMs }: FastifyRequest,
  request: Asked,
  optedInBy: OptedInBy,
  decision: Decision,
  failure?: unknown,
): void {
  const tookMs = performance.now() - seenMs
  if (!request.dryRun) counts.count(decision)
  logAdmission(log, request, optedInBy, decision, tookMs, failure)
}

function logAdmission(
  log: EventLog,
  request: Asked,
  optedInBy: OptedInBy,
  decision: Decision,
  tookMs: number,
  failure: unknown,
): void {
  const facts = {
    ...request,
    optedInBy,
    tookMs: Math.round(tookMs * 10) / 10,
    outcome: decision.outcome,
    ...(decision.outcome === 'inject' ? { lineage: decision.plan.lineage } : { reasons: decision.reasons }),
    ...(decision.outcome === 'refuse' ? { problems: decision.problems } : { warnings: decision.warnings }),
  }
  if (failure !== undefined)
    log.error({ event: 'review.failed_open', ...facts, error: describeError(failure) }, 'failed open')
  else if (decision.outcome === 'skip' && decision.reasons.includes('deadline-passed'))
    log.error({ event: 'review.failed_open', ...facts }, 'failed open')
  else log.info({ event: 'review.answered', ...facts }, 'answered a review')
}
