/**
 * How late the event loop is. While it runs a turn, requests wait in the kernel and are not counted. A request that arrives meanwhile waits for
 * about as long as a timer that is due meanwhile.
 */
const everyMs = 50

export class LoopDelay {
  #dueMs = performance.now() + everyMs
  #lastMs = 0
  readonly #timer = setInterval(() => {
    const now = performance.now()
    this.#lastMs = Math.max(0, now - this.#dueMs)
    this.#dueMs = now + everyMs
  }, everyMs)

  constructor() {
    this.#timer.unref()
  }

  /** Of the turn that is under way, or of the one before it. */
  ms(): number {
    return Math.max(this.#lastMs, performance.now() - this.#dueMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
