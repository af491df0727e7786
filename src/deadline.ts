/**
 * By when something must be over. It is kept by the monotonic clock, so that a wall clock that somebody sets neither cuts work short nor
 * prolongs it. The wall clock is used only where a cloud, a person or another machine named or must read the instant.
 */

/** A timer of Node's that is longer than 2^31 ms ends at once. */
const longestTimerMs = 2 ** 31 - 1

export class Deadline {
  /** By `performance.now()`. */
  readonly #atMs: number

  private constructor(atMs: number) {
    this.#atMs = atMs
  }

  static in(ms: number): Deadline {
    return new Deadline(performance.now() + ms)
  }

  /** @param epochMs milliseconds since the epoch, as a cloud or a person named them */
  static at(epochMs: number): Deadline {
    return Deadline.in(epochMs - Date.now())
  }

  /** Never negative. */
  get leftMs(): number {
    return Math.max(0, this.#atMs - performance.now())
  }

  get isOver(): boolean {
    return this.leftMs === 0
  }

  /** What is left, as a timer takes it: at least 1 ms. */
  get timerMs(): number {
    return Math.min(Math.max(1, Math.ceil(this.leftMs)), longestTimerMs)
  }

  /** For people and for other machines: milliseconds since the epoch. */
  get epochMs(): number {
    return Math.round(Date.now() + this.#atMs - performance.now())
  }

  /** @param ms may be negative */
  plus(ms: number): Deadline {
    return new Deadline(this.#atMs + ms)
  }

  isBefore(other: Deadline): boolean {
    return this.#atMs < other.#atMs
  }

  /** Aborts when it is over. */
  signal(): AbortSignal {
    return AbortSignal.timeout(this.timerMs)
  }
}
