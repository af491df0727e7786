/** The pod's volumes are brought back, and begun on, by one container at a time. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** @throws what `work` throws, or the signal's reason where it aborts before the turn comes */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = before.then(() => promise)
    try {
      await Promise.race([before, rejectedBy(signal)])
      signal.throwIfAborted()
      return await work()
    } finally {
      resolve()
    }
  }
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
