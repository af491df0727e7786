/**
 * The application is frozen while the sidecar decides about its memory, but for a limited time: an answer that has not begun by then (the store
 * hangs, most often) begins while the application runs. Nothing here waits for a disk or for a thread of libuv.
 */
import type { EventLog } from '../../../src/log.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'

/** From when the application cannot get more memory in place, until CRIU stops it. */
// @deadline An ending checkpoint waits, and the memory is full | The application is thawed
// @deadline The store hangs, and the memory is full | Thawed; the checkpoint begins when the store answers
export const standstillMs = 10_000

export type StandstillParts = {
  cgroup: MemoryCgroup
  throttle: { disarm(): Promise<void> }
  log: EventLog
  /** Called before each thaw that does not end the answer: a signal that must not reach the application yet has to be withheld now. */
  beforeThaw?: () => void
  /** For tests. */
  standstillMs?: number
}

export class Standstill {
  readonly #parts: StandstillParts
  #timer: NodeJS.Timeout | undefined
  #why: string | undefined
  #tooLong: ((why: string) => void) | undefined
  /** The application is to be frozen, though CRIU may have it stopped meanwhile. */
  #stands = false
  #isInterrupted = false

  constructor(parts: StandstillParts) {
    this.#parts = parts
  }

  /** Why the application was thawed before an answer began, if it was. */
  get why(): string | undefined {
    return this.#why
  }

  async begin(): Promise<void> {
    const { cgroup, log } = this.#parts
    if (cgroup.version !== 2) return
    this.#stands = true
    if (!(await cgroup.freeze()))
      log.warn(
        { event: 'memory.partly_frozen' },
        'a part of the application could not be frozen: the answer goes on',
      )
  }

  /** Limits the time from now on. The first call counts. */
  limit(tooLong: (why: string) => void): void {
    if (this.#tooLong !== undefined || this.#parts.cgroup.version !== 2) return
    this.#tooLong = tooLong
    if (!this.#isInterrupted) this.#bound(tooLong)
  }

  /** CRIU has stopped the application, for another request: until `again` it is thawed, and its time does not pass. */
  interrupt(): void {
    this.#parts.beforeThaw?.()
    this.#isInterrupted = true
    clearTimeout(this.#timer)
    thaw(this.#parts)
  }

  /** CRIU is about to resume the application, which is frozen before: it executes no instruction in between. */
  again(): void {
    const { cgroup, log } = this.#parts
    if (!this.#isInterrupted) return
    this.#isInterrupted = false
    if (!this.#stands) return
    cgroup.freeze().catch((error: unknown) => {
      if (!isGone(error))
        log.error({ event: 'memory.freeze_failed', err: error }, 'the application could not be frozen again')
    })
    if (this.#tooLong !== undefined) this.#bound(this.#tooLong)
  }

  #bound(tooLong: (why: string) => void): void {
    const ms = this.#parts.standstillMs ?? standstillMs
    this.#timer = setTimeout(() => {
      this.#parts.beforeThaw?.()
      this.#why = `nothing had begun after ${ms} ms of standing still: it was thawed meanwhile`
      void this.release()
      tooLong(this.#why)
    }, ms)
  }

  /** Removes the throttle and thaws. May be called more than once. */
  async release(): Promise<void> {
    const { throttle, log } = this.#parts
    try {
      await throttle.disarm()
    } catch (error) {
      if (!isGone(error))
        log.error({ event: 'memory.release_failed', err: error }, 'the throttle could not be removed')
    }
    await this.end()
  }

  /** Thaws, and leaves the throttle as it is. After that, another container may be frozen in the same mount. */
  async end(): Promise<void> {
    const stood = this.#stands || this.#isInterrupted
    this.#stands = this.#isInterrupted = false
    clearTimeout(this.#timer)
    if (stood) thaw(this.#parts)
  }
}

/** Thaws the cgroup, whoever froze it. May be called more than once. */
export function thaw({ cgroup, log }: Pick<StandstillParts, 'cgroup' | 'log'>): void {
  if (cgroup.version !== 2) return
  try {
    cgroup.thaw()
  } catch (error) {
    if (!isGone(error))
      log.error({ event: 'memory.thaw_failed', err: error }, 'the application could not be thawed')
  }
}

/** The cgroup goes with its container. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
}
