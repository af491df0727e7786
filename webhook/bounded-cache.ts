/** A map that forgets: each entry after its time, and the one that was used least recently when there are too many. */
export class BoundedCache<V> {
  readonly #entries = new Map<string, { value: V; until: number }>()
  readonly #most: number
  readonly #now: () => number

  /** @param now milliseconds */
  constructor(most: number, now: () => number) {
    this.#most = most
    this.#now = now
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (entry.until <= this.#now()) return undefined
    // A map lists its keys as they were set: used last is last.
    this.#entries.set(key, entry)
    return entry.value
  }

  set(key: string, value: V, livesMs: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#now() + livesMs })
    const oldest = this.#entries.keys().next()
    if (this.#entries.size > this.#most && oldest.done !== true) this.#entries.delete(oldest.value)
  }

  get size(): number {
    return this.#entries.size
  }
}
