import type { Decision } from './decide.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'

/** Counted admissions, by outcome and reason: both from closed sets, so that the number of series is bounded. */
export class AdmissionCounts {
  #injected = 0
  readonly #skipped = new Map<SkipReason, number>()
  readonly #refused = new Map<SkipReason, number>()

  count(decision: Decision): void {
    if (decision.outcome === 'inject') {
      this.#injected++
      return
    }
    const counts = decision.outcome === 'refuse' ? this.#refused : this.#skipped
    for (const reason of decision.reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }

  skipped(reason: SkipReason): number {
    return this.#skipped.get(reason) ?? 0
  }

  /** Prometheus' text format; every series from the start, so that a rate can be taken of the first event. */
  text(): string {
    const lines = [
      '# HELP reprieve_admissions_total Pods that the webhook was asked about, by outcome and reason. A pod with several reasons counts once for each.',
      '# TYPE reprieve_admissions_total counter',
      `reprieve_admissions_total{outcome="inject",reason=""} ${this.#injected}`,
    ]
    for (const reason of Object.keys(skipReasons) as SkipReason[]) {
      lines.push(`reprieve_admissions_total{outcome="skip",reason="${reason}"} ${this.skipped(reason)}`)
      if (skipReasons[reason].whenAsked === 'refuse')
        lines.push(
          `reprieve_admissions_total{outcome="refuse",reason="${reason}"} ${this.#refused.get(reason) ?? 0}`,
        )
    }
    return `${lines.join('\n')}\n`
  }
}
