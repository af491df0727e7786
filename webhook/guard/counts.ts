import { guardReasons, type GuardReason, type Verdict } from './reasons.ts'

/** Counted verdicts, by outcome and reason. */
export class GuardCounts {
  #allowed = 0
  readonly #denied = new Map<GuardReason, number>()

  count(verdict: Verdict): void {
    if (verdict.allowed) this.#allowed++
    else this.#denied.set(verdict.reason, this.denied(verdict.reason) + 1)
  }

  denied(reason: GuardReason): number {
    return this.#denied.get(reason) ?? 0
  }

  /** Prometheus' text format; every series from the start, so that a rate can be taken of the first event. */
  text(): string {
    const lines = [
      '# HELP reprieve_guard_verdicts_total Requests that the guard was asked about, by outcome and reason.',
      '# TYPE reprieve_guard_verdicts_total counter',
      `reprieve_guard_verdicts_total{outcome="allow",reason=""} ${this.#allowed}`,
      ...(Object.keys(guardReasons) as GuardReason[]).map(
        (reason) => `reprieve_guard_verdicts_total{outcome="deny",reason="${reason}"} ${this.denied(reason)}`,
      ),
    ]
    return `${lines.join('\n')}\n`
  }
}
