/** How long answers took, from a request's arrival on: a histogram in Prometheus' text format. */

/** Seconds. Most answers take a millisecond; an API server waits for 10 s, or 30 at most. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export class AnswerTimes {
  /** By the least bound that holds it; the last one is for what is beyond all. */
  readonly #counts = Array.from({ length: bounds.length + 1 }, () => 0)
  #sumSeconds = 0

  observe(ms: number): void {
    const seconds = ms / 1000
    let index = 0
    while (index < bounds.length && seconds > (bounds[index] ?? Infinity)) index++
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#sumSeconds += seconds
  }

  text(): string {
    const name = 'reprieve_admission_duration_seconds'
    const lines = [
      `# HELP ${name} How long admission reviews took to answer, from when they were first seen.`,
      `# TYPE ${name} histogram`,
    ]
    let sum = 0
    for (const [index, count] of this.#counts.entries()) {
      sum += count
      lines.push(`${name}_bucket{le="${bounds[index] ?? '+Inf'}"} ${sum}`)
    }
    lines.push(`${name}_sum ${this.#sumSeconds}`, `${name}_count ${sum}`)
    return `${lines.join('\n')}\n`
  }
}
