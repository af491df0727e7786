/**
 * Finds out which cloud the machine is of, and asks it for notices for as long as it answers. One that is not there, or cannot be
 * reached from a pod (a hop limit of 1, a network policy), costs one log line and a question every few minutes.
 */
import { describeError, ReprieveError } from '../../../src/errors.ts'
import type { EventLog } from '../../../src/log.ts'
import type { Hear } from '../notices/notice.ts'
import type { SourceBook } from '../notices/source-book.ts'
import type { Cloud, CloudName, Watch } from './cloud.ts'

export type WatcherPace = {
  /** Between the first two looks for a cloud: a pod's network, or a node's own metadata server, may be a little later than it. */
  lookSoonMs: number
  /** And later, each pause twice the one before. */
  lookAgainMs: number
  /** A cloud that did not answer so often in a row is gone. */
  lostAfter: number
  /** 0 for none; every pause is drawn from that much around its length, so that the machine's pods do not ask as one. */
  jitter: number
}
export const watcherPace: WatcherPace = {
  lookSoonMs: 10_000,
  lookAgainMs: 300_000,
  lostAfter: 5,
  jitter: 0.1,
}

export class CloudWatcher {
  readonly #clouds: readonly Cloud[]
  readonly #hear: Hear
  readonly #book: SourceBook
  readonly #log: EventLog
  #pace = watcherPace
  readonly #stopped = new AbortController()
  #found: Cloud['name'] | undefined
  /** As it was told of last. */
  #aheadMs = 0
  #running: Promise<void> = Promise.resolve()
  readonly #pausing = new Set<() => void>()

  /** @param clouds that may be the machine's, tried all at once */
  constructor(clouds: readonly Cloud[], hear: Hear, book: SourceBook, log: EventLog) {
    this.#clouds = clouds
    this.#hear = hear
    this.#book = book
    this.#log = log
  }

  /** The cloud that answers at the moment. */
  get found(): Cloud['name'] | undefined {
    return this.#found
  }

  start(pace: WatcherPace = watcherPace): void {
    this.#pace = pace
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted)
        this.#log.error({ event: 'cloud.failed', err: error }, 'asking the cloud ended')
    })
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    let { lookSoonMs: pauseMs } = this.#pace
    for (const said = new Set<unknown>(); !this.#stopped.signal.aborted;) {
      const { cloud, hidden, why } = await this.#look()
      if (cloud === undefined) {
        if (!said.has(hidden)) this.#tellNone(hidden, why)
        said.add(hidden)
      } else {
        said.clear()
        pauseMs = this.#pace.lookSoonMs
        this.#found = cloud.name
        this.#log.info({ event: 'cloud.found', cloud: cloud.name }, 'a cloud answers: its notices are heard')
        await this.#follow(cloud)
        this.#found = undefined
      }
      await this.#pause(pauseMs)
      pauseMs = Math.min(2 * pauseMs, this.#pace.lookAgainMs)
    }
  }

  #tellNone(hidden: CloudName | undefined, why: Record<string, string>): void {
    const about = { why, againMs: this.#pace.lookAgainMs }
    if (hidden === undefined)
      this.#log.info({ event: 'cloud.missing', ...about }, 'no cloud answers: its notices are not heard')
    else
      this.#log.warn(
        { event: 'cloud.hidden', ...about },
        'a metadata server of the node hides the notices: they are not heard',
      )
  }

  async #look(): Promise<{ cloud?: Cloud; hidden?: CloudName; why: Record<string, string> }> {
    let hidden: CloudName | undefined
    const why: Record<string, string> = {}
    const answers = await Promise.all(
      this.#clouds.map(async (cloud) => {
        try {
          if (await cloud.probe(this.#stopped.signal)) return cloud
          why[cloud.name] = 'something else answers'
        } catch (error) {
          if (failureOf(error) === 'hidden') hidden = cloud.name
          why[cloud.name] = describeError(error)
        }
        this.#book.failed(cloud.name, why[cloud.name] ?? '', Date.now())
        return undefined
      }),
    )
    const cloud = answers.find((answer) => answer !== undefined)
    const name = cloud?.name ?? hidden
    // A machine is of one cloud: that the others do not answer is no fault.
    for (const other of name === undefined ? [] : this.#clouds)
      if (other.name !== name) this.#book.forget(other.name)
    if (cloud === undefined) return { hidden, why }
    this.#book.answered(cloud.name, Date.now())
    return { cloud, why }
  }

  /** Resolves when the cloud is gone. Its notices stand: silence withdraws nothing. */
  async #follow(cloud: Cloud): Promise<void> {
    const gone = new AbortController()
    const { signal } = gone
    const stop = () => gone.abort()
    this.#stopped.signal.addEventListener('abort', stop)
    const watches = cloud.watches()
    const lost = (watch: Watch, error: unknown) => {
      if (!signal.aborted)
        this.#log.warn(
          { event: 'cloud.lost', cloud: cloud.name, source: watch.source, err: error },
          'the cloud does not answer any more',
        )
      gone.abort()
      this.#wake()
    }
    await Promise.all(
      watches.map((watch) => this.#ask(cloud, watch, signal).catch((error: unknown) => lost(watch, error))),
    )
    this.#stopped.signal.removeEventListener('abort', stop)
    for (const { source } of watches) this.#book.off(source)
    this.#book.off(cloud.name)
  }

  /** @throws what the last question failed with, when the cloud is gone */
  async #ask(cloud: Cloud, watch: Watch, signal: AbortSignal): Promise<void> {
    for (let failures = 0, silent = 0; !signal.aborted;) {
      let retryAfterMs: number | undefined
      try {
        const notices = await watch.read(signal)
        this.#book.answered(watch.source, Date.now())
        this.#noteClock(cloud)
        failures = silent = 0
        this.#hear(watch.source, notices)
      } catch (error) {
        if (signal.aborted) return
        this.#book.failed(watch.source, describeError(error), Date.now())
        failures++
        retryAfterMs = askedToWait(error)
        silent = isSilence(error) ? silent + 1 : 0
        if (silent >= this.#pace.lostAfter) throw error
        if (failures === this.#pace.lostAfter)
          this.#log.warn(
            { event: 'cloud.source_failed', source: watch.source, err: error },
            'a source of notices does not answer as it should: it is asked less often',
          )
      }
      await this.#pause(pauseAfter(watch, failures, retryAfterMs), retryAfterMs !== undefined)
    }
  }

  #noteClock({ name, clockAheadMs: aheadMs = 0 }: Cloud): void {
    if (aheadMs !== 0 && aheadMs !== this.#aheadMs)
      this.#log.warn(
        { event: 'cloud.clock_differs', cloud: name, aheadMs },
        'the clock of the cloud is not that of this machine: its deadlines are shifted',
      )
    this.#aheadMs = aheadMs
  }

  /** @param atLeast it may be longer, but not shorter */
  #pause(ms: number, atLeast = false): Promise<void> {
    const share = atLeast ? Math.random() : 2 * Math.random() - 1
    const drawn = ms * (1 + this.#pace.jitter * share)
    // Once a second in every pod: no signal is listened to for each pause (make soak).
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#pausing.delete(end)
        resolve()
      }
      const timer = setTimeout(end, drawn).unref()
      this.#pausing.add(end)
      if (this.#stopped.signal.aborted) end()
    })
  }

  /** Whoever pauses looks whether to go on. */
  #wake(): void {
    for (const end of this.#pausing) end()
  }
}

/**
 * 429 and 5xx are asked for less often, and so is what sends garbage; never less often than still helps.
 *
 * @param retryAfterMs what the service asks for
 */
export function pauseAfter(
  { everyMs, slowestMs }: Pick<Watch, 'everyMs' | 'slowestMs'>,
  failures: number,
  retryAfterMs?: number,
): number {
  const wanted = retryAfterMs ?? everyMs * 2 ** Math.min(failures, 16)
  return Math.max(everyMs, Math.min(wanted, slowestMs))
}

function failureOf(error: unknown): unknown {
  return error instanceof ReprieveError ? error.data.failure : undefined
}

function askedToWait(error: unknown): number | undefined {
  const ms = error instanceof ReprieveError ? error.data.retryAfterMs : undefined
  return typeof ms === 'number' ? ms : undefined
}

function isSilence(error: unknown): boolean {
  const failure = failureOf(error)
  return failure === 'unreachable' || failure === 'late'
}
