/**
 * When more comes than can be answered in time. What is too much is not queued, since the API server gives up on all that waits too long,
 * and none would be answered: it is told so before its body is read, and everything else is answered as ever.
 */
import type { OverloadConfig } from '../src/config-overload.ts'

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
  readonly #refused = new Map<OverloadReason, number>()
  #requests = 0
  #bytes = 0

  /** @param delayMs how long whoever comes now has waited already */
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
    } else this.#refused.set(reason, this.refused(reason) + 1)
    return reason
  }

  leave(bytes: number): void {
    this.#requests--
    this.#bytes -= bytes
  }

  refused(reason: OverloadReason): number {
    return this.#refused.get(reason) ?? 0
  }

  /** Prometheus' text format; every series from the start, so that a rate can be taken of the first event. */
  text(): string {
    const lines = [
      '# HELP reprieve_overload_refusals_total Reviews that were answered by 503 instead of a decision, by what there was too much of.',
      '# TYPE reprieve_overload_refusals_total counter',
      ...(Object.keys(overloadReasons) as OverloadReason[]).map(
        (reason) => `reprieve_overload_refusals_total{reason="${reason}"} ${this.refused(reason)}`,
      ),
      '# HELP reprieve_reviews_in_flight Reviews of pods that are being received or decided on.',
      '# TYPE reprieve_reviews_in_flight gauge',
      `reprieve_reviews_in_flight ${this.#requests}`,
      '# HELP reprieve_reviews_in_flight_bytes The size of their bodies.',
      '# TYPE reprieve_reviews_in_flight_bytes gauge',
      `reprieve_reviews_in_flight_bytes ${this.#bytes}`,
      '# HELP reprieve_event_loop_delay_seconds How long what comes now has waited before it was seen.',
      '# TYPE reprieve_event_loop_delay_seconds gauge',
      `reprieve_event_loop_delay_seconds ${(this.#delayMs() / 1000).toFixed(3)}`,
    ]
    return `${lines.join('\n')}\n`
  }

  #tooMuch(bytes: number, budgetMs: number): OverloadReason | undefined {
    if (this.#requests >= this.#most.requests) return 'requests'
    if (this.#bytes + bytes > this.#most.bytes) return 'bytes'
    return this.#delayMs() > Math.min(this.#most.delayMs, budgetMs * shareOfBudget) ? 'delay' : undefined
  }
}
