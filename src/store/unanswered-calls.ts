/**
 * A call into a hung file system cannot be cancelled and keeps one of libuv's few threads until it returns. With all threads in such calls,
 * the process could read and write no file at all. So while a call is out that its caller has given up, no other call begins: later
 * callers wait for it, without a thread. Two exceptions: a read begins beside one write that was given up. A disk that takes minutes to
 * sync may well answer reads, and an application must not start from its beginning because its next checkpoint was not stored. Both begin
 * beside one removal: a file server may take minutes to remove a large file, and a checkpoint must not be lost because an old one is slow to go.
 */
import { ReprieveError } from '../errors.ts'

/** A call that is out for so long after it was given up hangs, and later callers are refused at once. Until then it may be slow only. */
// @deadline The store does not answer a call that was given up | Further calls fail at once until it answers
export const hangsAfterMs = 30_000

export type Kind = 'read' | 'write' | 'removal'

type Call = { action: string; kind: Kind; givenUpAt: number; settled: Promise<void> }

/** The kinds of calls that a call begins beside, one of each. A write keeps up to four threads (put-checkpoint.ts) of the sidecar's eight. */
const beside: Record<Kind, readonly Kind[]> = { read: ['write', 'removal'], write: ['removal'], removal: [] }

export class UnansweredCalls {
  readonly #store: string
  readonly #hangsAfterMs: number
  readonly #calls = new Set<Call>()

  constructor(store: string, hangsMs = hangsAfterMs) {
    this.#store = store
    this.#hangsAfterMs = hangsMs
  }

  /** Adds a call that its caller has given up. */
  add(action: string, kind: Kind, work: Promise<unknown>): void {
    const call: Call = { action, kind, givenUpAt: performance.now(), settled: work.then(ignore, ignore) }
    this.#calls.add(call)
    void call.settled.then(() => this.#calls.delete(call))
  }

  /** Resolves when a call may begin. @throws ReprieveError `store-failed` where one hangs, or is still out when the signal aborts */
  async allow(kind: Kind, signal: AbortSignal): Promise<void> {
    for (const call of this.#calls) {
      const alike = [...this.#calls].filter((other) => other.kind === call.kind)
      if (alike.length === 1 && beside[kind].includes(call.kind)) continue
      if (performance.now() - call.givenUpAt > this.#hangsAfterMs) throw this.#refusal(call, true)
      if (!(await settledBefore(call.settled, signal))) throw this.#refusal(call, false)
    }
  }

  #refusal({ action, givenUpAt }: Call, hangs: boolean): ReprieveError {
    const seconds = Math.round((performance.now() - givenUpAt) / 1_000)
    const message = `store "${this.#store}" does not answer since ${seconds} s: it still has not come to an end to ${action}, which was given up then`
    // Like an aborted call: whether another pod writes to the store is unknown.
    return new ReprieveError('store-failed', message, { store: this.#store, aborted: true, hangs })
  }
}

async function settledBefore(settled: Promise<void>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false
  const aborted = Promise.withResolvers<false>()
  const abort = () => aborted.resolve(false)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([settled.then(() => true), aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function ignore(): void {}
