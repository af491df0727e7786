/**
 * Finds out which cloud the machine is of, and asks it for notices for as long as it answers. One that is not there, or cannot be
 * reached from a pod (a hop limit of 1, a network policy), costs one log line and a question every few minutes.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Notice } from '../notices/notice.ts'
import type { SourceBook } from '../notices/source-book.ts'
import type { Cloud, Watch } from './cloud.ts'

export type WatcherPace = {
  /** Between the first two looks for a cloud: a pod's network, or a node's own metadata server, may be a little later than it. */
  lookSoonMs: number
  /** And later, each pause twice the one before. */
  lookAgainMs: number
  /** A question that failed is asked again ever later, up to this. */
  slowestMs: number
  /** A cloud that did not answer so often in a row is gone. */
  lostAfter: number
  /** 0 for none; every pause is drawn from that much around its length, so that the machine's pods do not ask as one. */
  jitter: number
}
export const watcherPace: WatcherPace = {
  lookSoonMs: 10_000,
  lookAgainMs: 300_000,
  slowestMs: 30_000,
  lostAfter: 5,
  jitter: 0.1,
}

/** All that a source says at the moment. */
export type Hear = (source: string, notices: Notice[]) => void

export class CloudWatcher {
  readonly #clouds: readonly Cloud[]
  readonly #hear: Hear
  readonly #book: SourceBook
  readonly #log: Log
  readonly #pace: WatcherPace
  readonly #stopped = new AbortController()
  #found: Cloud['name'] | undefined
  #running: Promise<void> = Promise.resolve()

  /** @param clouds that may be the machine's, tried all at once */
  constructor(
    clouds: readonly Cloud[],
    hear: Hear,
    book: SourceBook,
    log: Log,
    pace: WatcherPace = watcherPace,
  ) {
    this.#clouds = clouds
    this.#hear = hear
    this.#book = book
    this.#log = log
    this.#pace = pace
  }

  /** The cloud that answers at the moment. */
  get found(): Cloud['name'] | undefined {
    return this.#found
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#log.error({ err: error }, 'asking the cloud ended')
    })
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    let { lookSoonMs: pauseMs } = this.#pace
    for (let said = false; !this.#stopped.signal.aborted;) {
      const { cloud, why } = await this.#look()
      if (cloud === undefined) {
        if (!said)
          this.#log.info(
            { why, againMs: this.#pace.lookAgainMs },
            'no cloud answers: its notices are not heard',
          )
        said = true
      } else {
        said = false
        pauseMs = this.#pace.lookSoonMs
        this.#found = cloud.name
        this.#log.info({ cloud: cloud.name }, 'a cloud answers: its notices are heard')
        await this.#follow(cloud)
        this.#found = undefined
      }
      await this.#pause(pauseMs)
      pauseMs = Math.min(2 * pauseMs, this.#pace.lookAgainMs)
    }
  }

  async #look(): Promise<{ cloud?: Cloud; why: Record<string, string> }> {
    const why: Record<string, string> = {}
    const answers = await Promise.all(
      this.#clouds.map(async (cloud) => {
        try {
          if (await cloud.probe(this.#stopped.signal)) return cloud
          why[cloud.name] = 'something else answers'
        } catch (error) {
          why[cloud.name] = describeError(error)
        }
        this.#book.failed(cloud.name, why[cloud.name] ?? '', Date.now())
        return undefined
      }),
    )
    const cloud = answers.find((answer) => answer !== undefined)
    if (cloud === undefined) return { why }
    this.#book.answered(cloud.name, Date.now())
    // A machine is of one cloud: that the others do not answer is no fault.
    for (const other of this.#clouds) if (other !== cloud) this.#book.forget(other.name)
    return { cloud, why }
  }

  /** Resolves when the cloud is gone. Its notices stand: silence withdraws nothing. */
  async #follow(cloud: Cloud): Promise<void> {
    const gone = new AbortController()
    const signal = AbortSignal.any([gone.signal, this.#stopped.signal])
    const watches = cloud.watches()
    const lost = (watch: Watch, error: unknown) => {
      if (!signal.aborted)
        this.#log.warn(
          { cloud: cloud.name, source: watch.source, err: error },
          'the cloud does not answer any more',
        )
      gone.abort()
    }
    await Promise.all(
      watches.map((watch) => this.#ask(watch, signal).catch((error: unknown) => lost(watch, error))),
    )
    for (const { source } of watches) this.#book.off(source)
    this.#book.off(cloud.name)
  }

  /** @throws what the last question failed with, when the cloud is gone */
  async #ask(watch: Watch, signal: AbortSignal): Promise<void> {
    for (let failures = 0, silent = 0; !signal.aborted;) {
      try {
        const notices = await watch.read(signal)
        this.#book.answered(watch.source, Date.now())
        failures = silent = 0
        this.#hear(watch.source, notices)
      } catch (error) {
        if (signal.aborted) return
        this.#book.failed(watch.source, describeError(error), Date.now())
        failures++
        silent = isSilence(error) ? silent + 1 : 0
        if (silent >= this.#pace.lostAfter) throw error
        if (failures === this.#pace.lostAfter)
          this.#log.warn(
            { source: watch.source, err: error },
            'a source of notices does not answer as it should: it is asked less often',
          )
      }
      // 429 and 5xx are asked for less often, and so is what sends garbage; never less often than still helps.
      const slowest = Math.max(watch.everyMs, this.#pace.slowestMs)
      await this.#pause(Math.min(watch.everyMs * 2 ** Math.min(failures, 16), slowest), signal)
    }
  }

  async #pause(ms: number, signal: AbortSignal = this.#stopped.signal): Promise<void> {
    const drawn = ms * (1 + this.#pace.jitter * (2 * Math.random() - 1))
    await delay(drawn, undefined, { signal, ref: false }).catch(() => undefined)
  }
}

function isSilence(error: unknown): boolean {
  const failure = error instanceof ReprieveError ? error.data.failure : undefined
  return failure === 'unreachable' || failure === 'late'
}
