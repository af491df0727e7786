/** A hook of a route: it answers a review by 503 when `Overload` refuses it. The connection stays open. */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { EventLog } from '../src/log.ts'
import type { Metrics } from './metrics.ts'
import { overloadReasons, type Overload } from './overload.ts'
import { answerBudgetMs } from './within-deadline.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** When it was first seen, and when the answer has to be on its way, on the clock of `performance.now()`. */
    seenMs: number
    answerByMs: number
  }
}

export type OverloadHookParts = {
  overload: Overload
  metrics: Metrics
  log: EventLog
  bodyLimitBytes: number
  /**
   * Whether the API server may come again: its client does, within the webhook's time-out, where an answer of 429 or 5xx says when
   * (client-go, rest/with_retry.go). Otherwise its failurePolicy decides at once.
   */
  retry: boolean
}

const retryAfterSeconds = 1
/** The log lines about an overload must not add to it. */
const toldEveryMs = 1000

export function overloadHook({
  overload,
  metrics,
  log,
  bodyLimitBytes,
  retry,
}: OverloadHookParts): onRequestHookHandler {
  let untold = 0
  let toldMs = -Infinity
  return (incoming: FastifyRequest, reply: FastifyReply, done) => {
    const now = performance.now()
    const budgetMs = answerBudgetMs((incoming.query as { timeout?: unknown }).timeout)
    incoming.seenMs = now
    incoming.answerByMs = now + budgetMs
    const length = Number(incoming.headers['content-length'] ?? bodyLimitBytes)
    const bytes = Number.isNaN(length) ? bodyLimitBytes : length
    const reason = overload.enter(bytes, budgetMs)
    if (reason === undefined) {
      reply.raw.once('close', () => overload.leave(bytes))
      done()
      return
    }
    metrics.countRefusal(reason)
    untold++
    if (now - toldMs >= toldEveryMs) {
      log.warn({ event: 'webhook.overloaded', reason, requests: untold }, 'was overloaded')
      untold = 0
      toldMs = now
    }
    if (retry) reply.header('retry-after', String(retryAfterSeconds))
    reply.code(503).send({ error: overloadReasons[reason] })
  }
}
