/**
 * Refuses reviews beyond those that the webhook can answer in time. It does not queue them: the API server gives up on a review that waits too
 * long, and then none is answered in time. It refuses a review before it reads the body, and answers all others as usual.
 */
import type { OverloadConfig } from '../src/config.ts'

export const overloadReasons = {
  requests: 'as many reviews as the configuration allows are under way (overload.requests)',
  bytes: 'the reviews under way are as large as the configuration allows (overload.bytes)',
  delay: 'reviews wait for longer than the configuration allows before they are seen (overload.delay)',
} as const

export type OverloadReason = keyof typeof overloadReasons

/** A review that has waited for so much of the API server's time may not be answered within the rest. */
const shareOfBudget = 0.5

export class Overload {
  readonly #most: OverloadConfig
  readonly #delayMs: () => number
  #requests = 0
  #bytes = 0

  /** @param delayMs how long a review that arrives now has waited already */
  constructor(most: OverloadConfig, delayMs: () => number) {
    this.#most = most
    this.#delayMs = delayMs
  }

  /** @returns why it is too much; undefined: it is taken on, and `leave` with the same bytes has to follow */
  enter(bytes: number, budgetMs: number): OverloadReason | undefined {
    const reason = this.#tooMuch(bytes, budgetMs)
    if (reason === undefined) {
      this.#requests++
      this.#bytes += bytes
    }
    return reason
  }

  leave(bytes: number): void {
    this.#requests--
    this.#bytes -= bytes
  }

  /** Reviews that are being received or decided on, and the size of their bodies. */
  get requests(): number {
    return this.#requests
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How long a review that arrives now has waited already. */
  get delayMs(): number {
    return this.#delayMs()
  }

  #tooMuch(bytes: number, budgetMs: number): OverloadReason | undefined {
    if (this.#requests >= this.#most.requests) return 'requests'
    if (this.#bytes + bytes > this.#most.bytes) return 'bytes'
    return this.#delayMs() > Math.min(this.#most.delayMs, budgetMs * shareOfBudget) ? 'delay' : undefined
  }
}
