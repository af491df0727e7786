/**
 * How long answers took, from the first byte of a request to the last of its answer, as a histogram of Prometheus: what each API server
 * waits for, whatever came of it. Dry runs and what was no review are in it too.
 */
export const entries = ['pod', 'namespace', 'guard'] as const
export type Entry = (typeof entries)[number]

/** Seconds. From what a decision takes to the API server's usual patience (timeoutSeconds). */
export const bucketBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

type Times = { counts: number[]; sumMs: number }

const name = 'reprieve_admission_duration_seconds'

export class AnswerTimes {
  readonly #times = new Map<Entry, Times>(
    entries.map((entry) => [
      entry,
      { counts: Array.from({ length: bucketBounds.length + 1 }, () => 0), sumMs: 0 },
    ]),
  )

  observe(entry: Entry, ms: number): void {
    const times = this.#times.get(entry)
    if (times === undefined) return
    const bucket = bucketBounds.findIndex((bound) => ms <= bound * 1000)
    const index = bucket < 0 ? bucketBounds.length : bucket
    times.counts[index] = (times.counts[index] ?? 0) + 1
    times.sumMs += ms
  }

  /** Prometheus' text format; every series from the start. */
  text(): string {
    const lines = [
      `# HELP ${name} From the first byte of an admission request to the last of its answer, by the webhook's entry.`,
      `# TYPE ${name} histogram`,
    ]
    for (const [entry, { counts, sumMs }] of this.#times) {
      let total = 0
      for (const [index, count] of counts.entries()) {
        total += count
        lines.push(`${name}_bucket{entry="${entry}",le="${bucketBounds[index] ?? '+Inf'}"} ${total}`)
      }
      lines.push(`${name}_sum{entry="${entry}"} ${sumMs / 1000}`, `${name}_count{entry="${entry}"} ${total}`)
    }
    return `${lines.join('\n')}\n`
  }
}
