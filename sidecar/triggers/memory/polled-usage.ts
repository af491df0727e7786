/**
 * cgroup v1 has no throttle: the sidecar polls the usage, the more often the faster it grows. An application that fills the rest of its
 * memory between two polls is killed by the kernel; from 85 % of 1 GiB that is 150 MiB in 10 ms.
 */
import { availableParallelism } from 'node:os'
import type { EventLog } from '../../../src/log.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'
import type { Crossing, TripwireState } from './tripwire.ts'
import { isPressure, mayRearm, thresholdBytes, unreclaimableBytes, type MemoryUsage } from './usage.ts'

const [soonestMs, latestMs] = [10, 500]
/** A crossing without a remedy, as while a checkpoint is being stored, is reported again after this pause. */
const unansweredMs = 100

/**
 * When to look next: when, at the rate it grew, a quarter of the way to the threshold is behind it.
 * @param rate bytes a millisecond
 */
export function nextLookMs(leftBytes: number, rate: number): number {
  if (leftBytes <= 0) return soonestMs
  const quarter = rate <= 0 ? latestMs : leftBytes / rate / 4
  return Math.min(latestMs, Math.max(soonestMs, quarter))
}

export type PolledUsageOptions = {
  cgroup: MemoryCgroup
  percent: number
  crossed: (crossing: Crossing) => Promise<void>
  /** Called when there is room again, and the usage is watched again. */
  relieved?: () => void
  log: EventLog
}

export class PolledUsage {
  readonly #options: PolledUsageOptions
  #state: TripwireState = 'stopped'
  #ended = false
  #timer: NodeJS.Timeout | undefined
  /** Bytes a millisecond, of late. */
  #rate = 0
  /** At the last look in the state `armed`. */
  #limitBytes = Number.POSITIVE_INFINITY
  #last: { usage: MemoryUsage; at: number } | undefined

  constructor(options: PolledUsageOptions) {
    this.#options = options
  }

  get state(): TripwireState {
    return this.#state
  }

  async start(): Promise<void> {
    await this.arm()
    this.#next(0)
  }

  async arm(): Promise<void> {
    const limitBytes = await this.#options.cgroup.limitBytes()
    this.#become(Number.isFinite(limitBytes) ? 'armed' : 'no-limit')
  }

  /** Crossings are not reported until the usage has gone down far enough, or is below the threshold of a raised limit. */
  async disarm(): Promise<void> {
    this.#become('let-go')
  }

  async stop(): Promise<void> {
    this.#become('stopped')
    this.#ended = true
    clearTimeout(this.#timer)
  }

  /** A stopped watch stays stopped: a crossing may be answered after the end, when another container has the cgroup. */
  #become(state: TripwireState): void {
    if (!this.#ended) this.#state = state
  }

  #next(afterMs: number): void {
    if (!this.#ended) this.#timer = setTimeout(() => void this.#look(), afterMs).unref()
  }

  async #look(): Promise<void> {
    const { cgroup, percent, crossed, log } = this.#options
    let afterMs: number = latestMs
    try {
      const [limitBytes, usage] = [await cgroup.limitBytes(), await cgroup.usage()]
      if (this.#ended) return
      const at = performance.now()
      if (Number.isFinite(limitBytes)) {
        if (this.#state === 'no-limit') this.#state = 'armed'
        const isFull = isPressure(usage, limitBytes, percent, availableParallelism())
        const isRaised = limitBytes > this.#limitBytes
        if (this.#state === 'let-go' && (mayRearm(usage, limitBytes, percent) || (isRaised && !isFull))) {
          this.#state = 'armed'
          this.#options.relieved?.()
        }
        const grown = this.#last === undefined ? 0 : unreclaimableBytes(usage) - unreclaimableBytes(this.#last.usage) // prettier-ignore
        const rate = this.#last === undefined ? 0 : grown / Math.max(1, at - this.#last.at)
        // Between two looks that are 10 ms apart a program may well pause: one that grew is not taken for one that stands.
        this.#rate = Math.max(rate, this.#rate / 2)
        if (this.#state === 'armed') {
          this.#limitBytes = limitBytes
          afterMs = nextLookMs(thresholdBytes(limitBytes, percent) - unreclaimableBytes(usage), this.#rate)
          if (isFull) {
            await crossed({ usage, limitBytes })
            // With a limit that has been raised it may well have gone on growing already.
            afterMs = (await cgroup.limitBytes()) === limitBytes ? unansweredMs : soonestMs
          }
        }
      }
      this.#last = { usage, at }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ENODEV')
        log.warn({ event: 'memory.unread', err: error }, 'the memory cgroup could not be looked at')
    }
    this.#next(afterMs)
  }
}
