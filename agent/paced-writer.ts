/** Writes one object: at once what is new, and what becomes new meanwhile with the next write, which a pause separates from this one. */
export class PacedWriter {
  readonly #write: () => Promise<void>
  readonly #pauseMs: number
  #isDue = false
  #isWriting = false
  #pause: NodeJS.Timeout | undefined
  #isStopped = false

  /** @param write tells of its failures itself */
  constructor(write: () => Promise<void>, pauseMs: number) {
    this.#write = write
    this.#pauseMs = pauseMs
  }

  due(): void {
    this.#isDue = true
    if (!this.#isWriting && this.#pause === undefined) void this.#run()
  }

  /** What is due is written now, without a pause; nothing afterwards. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#pause)
    if (this.#isDue && !this.#isWriting) void this.#run()
  }

  async #run(): Promise<void> {
    this.#pause = undefined
    if (!this.#isDue) return
    this.#isDue = false
    this.#isWriting = true
    await this.#write().catch(() => undefined)
    this.#isWriting = false
    if (this.#isStopped) return this.#run()
    this.#pause = setTimeout(() => void this.#run(), this.#pauseMs).unref()
  }
}
