/**
 * A cloud names deadlines by its own clock, and a machine's may be another one (no time service, or not yet). Answers carry the
 * cloud's in their `Date`; what comes without one is taken as it is.
 */
import { instantOf, type Instant } from './cloud.ts'
import type { HttpAnswer } from './http-answer.ts'

/** Less than that is the header's whole seconds, and the way here. */
const sameMs = 2_000

export class CloudClock {
  readonly #now: () => number
  #aheadMs = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** By how much the cloud's clock is ahead of ours; 0 where they are about the same. */
  get aheadMs(): number {
    return this.#aheadMs
  }

  async listen(ask: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const askedAt = this.#now()
    const answer = await ask()
    const said = instantOf(answer.headers.get('date'))
    if (said !== undefined) this.#learn(aheadOf(said, askedAt, this.#now()))
    return answer
  }

  ours(instant: Instant): Instant {
    return instant === undefined ? undefined : instant - this.#aheadMs
  }

  /** What is about the same as before is the same: a deadline must not move with every answer. */
  #learn(aheadMs: number): void {
    if (Math.abs(aheadMs - this.#aheadMs) <= sameMs) return
    this.#aheadMs = Math.abs(aheadMs) <= sameMs ? 0 : aheadMs
  }
}

/** An answer may have taken long: whatever its date is between question and answer is no difference. */
function aheadOf(saidMs: number, askedAt: number, answeredAt: number): number {
  if (saidMs > answeredAt) return saidMs - answeredAt
  // It was said within the second that the header names.
  return Math.min(0, saidMs + 999 - askedAt)
}
