/**
 * The counters and the histogram of the webhook, by prom-client. Labels come from closed sets, which bounds the number of series. Every series
 * exists from the start, so that a rate covers the first event.
 */
import { Counter, Histogram, Registry } from 'prom-client'
import type { Decision } from './decide.ts'
import { guardReasons, type Verdict } from './guard/reasons.ts'
import { overloadReasons, type OverloadReason } from './overload.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'

export const entries = ['pod', 'namespace', 'guard'] as const
export type Entry = (typeof entries)[number]

/** Seconds. From what a decision takes to the API server's usual patience (timeoutSeconds). */
export const bucketBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export class Metrics {
  readonly registry = new Registry()
  readonly #registers = [this.registry]
  readonly #admissions = new Counter({
    name: 'reprieve_admissions_total',
    help: 'Pods that the webhook was asked about, by outcome and reason. A pod with several reasons counts once for each.',
    labelNames: ['outcome', 'reason'],
    registers: this.#registers,
  })
  readonly #verdicts = new Counter({
    name: 'reprieve_guard_verdicts_total',
    help: 'Requests that the guard was asked about, by outcome and reason.',
    labelNames: ['outcome', 'reason'],
    registers: this.#registers,
  })
  /** From the first byte of a request to the last of its answer. Dry runs and what was no review are in it, too. */
  readonly #durations = new Histogram({
    name: 'reprieve_admission_duration_seconds',
    help: "From the first byte of an admission request to the last of its answer, by the webhook's entry.",
    labelNames: ['entry'],
    buckets: bucketBounds,
    registers: this.#registers,
  })
  readonly #refusals = new Counter({
    name: 'reprieve_overload_refusals_total',
    help: 'Reviews that were answered by 503 instead of a decision, by what there was too much of.',
    labelNames: ['reason'],
    registers: this.#registers,
  })

  constructor() {
    this.#admissions.inc({ outcome: 'inject', reason: '' }, 0)
    for (const reason of Object.keys(skipReasons) as SkipReason[]) {
      this.#admissions.inc({ outcome: 'skip', reason }, 0)
      if (skipReasons[reason].whenAsked === 'refuse') this.#admissions.inc({ outcome: 'refuse', reason }, 0)
    }
    this.#verdicts.inc({ outcome: 'allow', reason: '' }, 0)
    for (const reason of Object.keys(guardReasons)) this.#verdicts.inc({ outcome: 'deny', reason }, 0)
    for (const entry of entries) this.#durations.zero({ entry })
    for (const reason of Object.keys(overloadReasons)) this.#refusals.inc({ reason }, 0)
  }

  countAdmission(decision: Decision): void {
    const { outcome } = decision
    if (outcome === 'inject') this.#admissions.inc({ outcome, reason: '' })
    else for (const reason of decision.reasons) this.#admissions.inc({ outcome, reason })
  }

  countVerdict(verdict: Verdict): void {
    this.#verdicts.inc(
      verdict.allowed ? { outcome: 'allow', reason: '' } : { outcome: 'deny', reason: verdict.reason },
    )
  }

  countRefusal(reason: OverloadReason): void {
    this.#refusals.inc({ reason })
  }

  observe(entry: Entry, ms: number): void {
    this.#durations.observe({ entry }, ms / 1000)
  }

  /** Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics()
  }
}
