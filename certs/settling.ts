/**
 * The time since which each CA stands in every caBundle, as far as this process has seen. API servers learn of a change one by one, through watches,
 * so some may not know the newest CA. The time is not stored: a process that starts after a crash waits anew.
 */
import { certificatesIn } from './certificate-set.ts'

export class Settling {
  readonly #settleMs: number
  readonly #clock: () => number
  #since = new Map<string, number>()
  #isPublished = true

  constructor(settleMs: number, clock: () => number = () => performance.now()) {
    this.#settleMs = settleMs
    this.#clock = clock
  }

  /** @param published the caBundle of every entry; without any, no API server has to learn of a CA */
  observe(published: readonly string[]): void {
    const now = this.#clock()
    const [first = new Set<string>(), ...others] = [...new Set(published)].map(
      (bundle) => new Set(certificatesIn(bundle).map(({ fingerprint256 }) => fingerprint256)),
    )
    const everywhere = [...first].filter((one) => others.every((bundle) => bundle.has(one)))
    this.#isPublished = published.length > 0
    this.#since = new Map(everywhere.map((one) => [one, this.#since.get(one) ?? now]))
  }

  isSettled(fingerprint: string): boolean {
    if (!this.#isPublished) return true
    const since = this.#since.get(fingerprint)
    return since !== undefined && this.#clock() - since >= this.#settleMs
  }
}
