/**
 * The application stands still while it is decided what becomes of its memory, but not for longer than its users can bear: what has
 * not begun by then (the store hangs, most often) goes on while it runs. Nothing here waits for a disk or for a thread of libuv's.
 */
import type { Log } from '../../../src/log.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'

/** From when the application has all that can be had in place, until CRIU holds it. */
// @deadline An ending checkpoint waits, and the memory is full | The application is thawed
// @deadline The store hangs, and the memory is full | Thawed; the checkpoint begins when the store answers
export const standstillMs = 10_000

export type StandstillParts = {
  cgroup: MemoryCgroup
  brake: { letGo(): Promise<void> }
  log: Log
  /** Called before it goes on for whatever reason that is not the end of the answer: what must not reach it yet has to be seen now. */
  beforeThaw?: () => void
  /** For tests. */
  standstillMs?: number
}

export class Standstill {
  readonly #parts: StandstillParts
  #timer: NodeJS.Timeout | undefined
  #why: string | undefined
  #tooLong: ((why: string) => void) | undefined
  /** It is to stand still, though CRIU may hold it meanwhile. */
  #stands = false
  #isInterrupted = false

  constructor(parts: StandstillParts) {
    this.#parts = parts
  }

  /** Why it was let go before anything was done about it, where it was. */
  get why(): string | undefined {
    return this.#why
  }

  async begin(): Promise<void> {
    const { cgroup, log } = this.#parts
    if (cgroup.version !== 2) return
    this.#stands = true
    if (!(await cgroup.freeze())) log.warn('not all of the application stands still: what is done goes on')
  }

  /** It lasts so long from now on, unless it ends before. The first call counts. */
  limit(tooLong: (why: string) => void): void {
    if (this.#tooLong !== undefined || this.#parts.cgroup.version !== 2) return
    this.#tooLong = tooLong
    if (!this.#isInterrupted) this.#bound(tooLong)
  }

  /** CRIU holds it, for somebody else's checkpoint: it is neither frozen nor does its time pass until `again`. */
  interrupt(): void {
    this.#parts.beforeThaw?.()
    this.#isInterrupted = true
    clearTimeout(this.#timer)
    thaw(this.#parts)
  }

  /** CRIU is about to let go. What it holds is frozen as well: no instruction of the application's own comes between. */
  again(): void {
    const { cgroup, log } = this.#parts
    if (!this.#isInterrupted) return
    this.#isInterrupted = false
    if (!this.#stands) return
    cgroup.freeze().catch((error: unknown) => {
      if (!isGone(error)) log.error({ err: error }, 'the application could not be frozen again')
    })
    if (this.#tooLong !== undefined) this.#bound(this.#tooLong)
  }

  #bound(tooLong: (why: string) => void): void {
    const ms = this.#parts.standstillMs ?? standstillMs
    this.#timer = setTimeout(() => {
      this.#parts.beforeThaw?.()
      this.#why = `nothing had begun after ${ms} ms of standing still: it was let go meanwhile`
      void this.release()
      tooLong(this.#why)
    }, ms)
  }

  /** Let go, and without the brake: frozen it would not run, and held by the brake hardly. More than once without harm. */
  async release(): Promise<void> {
    const { brake, log } = this.#parts
    try {
      await brake.letGo()
    } catch (error) {
      if (!isGone(error)) log.error({ err: error }, 'the brake could not be let go')
    }
    await this.end()
  }

  /** The brake stays as it is. Once it has ended another container's standing still, in the same mount, is none of ours. */
  async end(): Promise<void> {
    const stood = this.#stands || this.#isInterrupted
    this.#stands = this.#isInterrupted = false
    clearTimeout(this.#timer)
    if (stood) thaw(this.#parts)
  }
}

/** Whatever froze it, and more than once without harm. */
export function thaw({ cgroup, log }: Pick<StandstillParts, 'cgroup' | 'log'>): void {
  if (cgroup.version !== 2) return
  try {
    cgroup.thaw()
  } catch (error) {
    if (!isGone(error)) log.error({ err: error }, 'the application could not be let go')
  }
}

/** With its container. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
}
