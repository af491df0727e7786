/** Runs one piece of work after another. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve()

  /** @param instead what the caller gets whose signal aborts before its work is done, which still runs in its turn */
  run<T>(work: () => Promise<T>, signal: AbortSignal, instead: T): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return new Promise((resolve, reject) => {
      const giveUp = () => resolve(instead)
      signal.addEventListener('abort', giveUp, { once: true })
      void done.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
    })
  }
}
