/**
 * The guard's endpoints. Unlike those that mutate they fail closed: what they are asked about names Reprieve's own containers, or is in a namespace
 * that is held to a Pod Security Standard, and nothing else waits for their answer (manifests/base/guard.yaml).
 */
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../src/config.ts'
import { describeError } from '../../src/errors.ts'
import type { KubeApi } from '../../src/kube-api.ts'
import type { EventLog } from '../../src/log.ts'
import type { Metrics } from '../metrics.ts'
import type { Standard } from '../pod-security/standards.ts'
import {
  allow,
  deny,
  readReview,
  sendAnswer,
  type AdmissionRequest,
  type AdmissionResponse,
} from '../review.ts'
import { judge } from './judge.ts'
import { isOperator } from './operators.ts'
import { judgePodSecurity } from './pod-security.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

/** `api` is undefined outside a cluster: nobody is an operator then. */
export type GuardParts = { config: Config; metrics: Metrics; log: EventLog; api?: KubeApi | undefined }

type Judge = (request: AdmissionRequest, parts: Omit<GuardParts, 'metrics'>) => Verdict | Promise<Verdict>

/** A review carries no labels of its namespace: the path says to which standard the pod is held. */
const judges: Readonly<Record<string, Judge>> = {
  '/validate': judgedFor,
  '/validate/pod-security/baseline': judgedBy('baseline'),
  '/validate/pod-security/restricted': judgedBy('restricted'),
}

export const guardPaths = Object.keys(judges)

export function serveGuard(app: FastifyInstance, parts: GuardParts): void {
  for (const [path, judgeOne] of Object.entries(judges)) serveVerdicts(app, path, { judgeOne, ...parts })
}

function serveVerdicts(
  app: FastifyInstance,
  path: string,
  { judgeOne, config, metrics, log, api }: GuardParts & { judgeOne: Judge },
): void {
  app.post(path, async (incoming, reply) => {
    const review = readReview(incoming.body)
    if (!review.readable) {
      log.warn(
        { event: 'review.unreadable', why: review.why, uid: review.uid },
        'answered an unreadable review',
      )
      if (review.uid === undefined) return reply.code(400).send({ error: review.why })
      const verdict = denied('review-unreadable', review.why)
      metrics.countVerdict(verdict)
      return sendAnswer(reply, responseTo(review.uid, verdict))
    }
    const { request } = review
    const verdict = await judgeOne(request, { config, log, api })
    if (request.dryRun !== true) metrics.countVerdict(verdict)
    logVerdict(log, request, verdict)
    return sendAnswer(reply, responseTo(request.uid, verdict))
  })
}

async function judgedFor(
  request: AdmissionRequest,
  { config, log, api }: Omit<GuardParts, 'metrics'>,
): Promise<Verdict> {
  const verdict = judged(request, log, () => judge(request, config))
  if (verdict.allowed || verdict.reason !== 'into-reprieve') return verdict
  return (await isOperator(request, api, log)) ? allowed : verdict
}

function judgedBy(standard: Standard): Judge {
  return (request, { config, log }) => judged(request, log, () => judgePodSecurity(request, standard, config))
}

function judged(request: AdmissionRequest, log: EventLog, make: () => Verdict): Verdict {
  try {
    return make()
  } catch (error) {
    log.error(
      { event: 'guard.failed', uid: request.uid, error: describeError(error) },
      'could not judge a request',
    )
    return denied('review-unreadable', 'Reprieve could not judge this request')
  }
}

function responseTo(uid: string, verdict: Verdict): AdmissionResponse {
  return verdict.allowed
    ? { ...allow(uid, verdict.warnings ?? []), auditAnnotations: { outcome: 'allow' } }
    : {
        ...deny(uid, { code: 403, reason: 'Forbidden' }, verdict.message),
        auditAnnotations: { outcome: 'deny', reason: verdict.reason },
      }
}

function logVerdict(log: EventLog, request: AdmissionRequest, verdict: Verdict): void {
  const { uid, namespace, name, operation, subResource, userInfo } = request
  const facts = {
    event: 'guard.judged' as const,
    uid,
    namespace,
    name,
    operation,
    subResource,
    user: userInfo?.username,
    ...(verdict.allowed
      ? { outcome: 'allow', warnings: verdict.warnings }
      : { outcome: 'deny', reason: verdict.reason, why: verdict.message }),
  }
  log[verdict.allowed ? 'info' : 'warn'](facts, 'judged a request')
}
