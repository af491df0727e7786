/**
 * How long a restore may be tried again. A trouble that may pass (a slow store, process numbers that are taken) is no reason to restore an
 * older checkpoint, or none: the same is tried again while the budget lasts. The restore init container and the first preparation of the
 * container share one budget; a container that is restarted in its pod has one of its own.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventLog } from '../../src/log.ts'
import { mayPass } from '../../src/restore-reasons.ts'
import { volumePaths } from '../../src/volume.ts'

/** Of the restore init container, to end by itself before its guard ends it. */
export const endingMs = 3_000
/** Between two tries. */
const pauses = { firstMs: 500, mostMs: 8_000 } as const

export class RestoreBudget {
  #untilMs: number
  readonly #signal: AbortSignal
  readonly #log: EventLog
  #pauseMs: number = pauses.firstMs

  constructor(ms: number, signal: AbortSignal, log: EventLog) {
    this.#untilMs = performance.now() + ms
    this.#signal = signal
    this.#log = log
  }

  get leftMs(): number {
    return Math.max(0, this.#untilMs - performance.now())
  }

  /** What a pod waits for another one's end is no trouble of the restore. */
  extend(ms: number): void {
    this.#untilMs += ms
  }

  /** Waits for the next try. False where the error will not pass, or no time is left. */
  async allowsRetry(error: unknown): Promise<boolean> {
    if (!mayPass(error) || this.#signal.aborted || this.leftMs <= this.#pauseMs) return false
    this.#log.warn(
      { event: 'restore.retried', err: error, pauseMs: this.#pauseMs, leftMs: Math.round(this.leftMs) },
      'a trouble that may pass stands in the way of a restore: the same is tried again',
    )
    await delay(this.#pauseMs, undefined, { signal: this.#signal }).catch(() => undefined)
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauses.mostMs)
    return !this.#signal.aborted
  }

  /** @throws the last error */
  async retry<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(await this.allowsRetry(error))) throw error
      }
    }
  }
}

/** What the restore init container leaves of the budget. Best effort. */
export async function leaveBudget(container: string, ms: number): Promise<void> {
  await writeFile(pathOf(container), String(Math.round(ms))).catch(() => undefined)
}

/** What the restore init container has left, once; after that the whole. */
export async function budgetFor(container: string, wholeMs: number): Promise<number> {
  const text = await readFile(pathOf(container), 'latin1').catch(() => '')
  await rm(pathOf(container), { force: true }).catch(() => undefined)
  return /^\d+$/.test(text) ? Math.min(Number(text), wholeMs) : wholeMs
}

function pathOf(container: string): string {
  return `${volumePaths.run}/${container}.restore-budget`
}
