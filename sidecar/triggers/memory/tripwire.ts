/**
 * The throttle on one application's memory, cgroup v2: with `memory.high` at the threshold the kernel itself slows down allocations beyond it,
 * and counts them in memory.events. It counts page cache as well, so the usage is read at each crossing. Others may change the limit and the
 * throttle, too (throttle.ts).
 */
import type { FSWatcher } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { EventLog } from '../../../src/log.ts'
import { Throttle } from './throttle.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'
import { Stall } from './stall.ts'
import { raisedThrottleBytes, isPressure, mayRearm, thresholdBytes, type MemoryUsage } from './usage.ts'

/** After a crossing by page cache alone: the pause before the next look. The throttle stays meanwhile. */
const restMs = 50
/** How often everything is looked at that may change without an event: the settings, a throttle that was removed or raised. */
const defaultLookMs = 5_000

export type Crossing = { usage: MemoryUsage; limitBytes: number }

export type TripwireOptions = {
  cgroup: MemoryCgroup
  percent: number
  /** The file that keeps the earlier `memory.high`, for a restarted sidecar. */
  recordFile: string
  /** The next crossing is reported when this one has been answered. */
  crossed: (crossing: Crossing) => Promise<void>
  /** Called when there is room again, and the throttle is set again. */
  relieved?: () => void
  log: EventLog
  /** For tests. */
  lookMs?: number
}

/** As /status shows it. `let-go`: the throttle was removed, and is set again when there is room. */
export type TripwireState = 'armed' | 'let-go' | 'no-limit' | 'stopped'

export class Tripwire {
  readonly #options: TripwireOptions
  readonly #throttle: Throttle
  readonly #lookMs: number
  readonly #stall = new Stall()
  #state: TripwireState = 'stopped'
  /** The limit for which the throttle was raised, for pages in constant use. */
  #raisedAt: number | undefined
  /** The limit for which the throttle was last set, or could not be: for a larger one a removed throttle is set again. */
  #limitBytes = Number.POSITIVE_INFINITY
  /** How often the throttle was removed: setting it may take so long that it is removed meanwhile. */
  #disarmings = 0
  /** The throttle is set once at a time: two calls may be for different limits. */
  #arming: Promise<void> | undefined
  /** Somebody may have written the settings meanwhile. */
  #lookAtSettingsAgain = false
  #watchers: FSWatcher[] = []
  #timer: NodeJS.Timeout | undefined
  #toldUnwatched = false
  #ended = false
  #looking = false
  #lookAgain = false

  constructor(options: TripwireOptions) {
    this.#options = options
    this.#throttle = new Throttle(options.cgroup, options.recordFile)
    this.#lookMs = options.lookMs ?? defaultLookMs
  }

  get state(): TripwireState {
    return this.#state
  }

  /** @throws Error of the file system if the cgroup is gone or cannot be written: then no throttle is set, not even that of an earlier sidecar */
  async start(): Promise<void> {
    try {
      this.#throttle.begin()
      this.#watch()
      this.#timer = setInterval(() => void this.#lookNowAndThen(), this.#lookMs).unref()
      await this.arm()
    } catch (error) {
      await this.stop().catch((worse: unknown) => this.#report(worse))
      throw error
    }
  }

  /** The kernel counts inotify instances for root on the whole node (fs.inotify.max_user_instances): without one the usage is polled. */
  #watch(): void {
    const { cgroup, log } = this.#options
    const unwatched = (error: unknown) => {
      this.#unwatch()
      if (!this.#toldUnwatched)
        log.warn(
          { event: 'memory.unwatched_events', err: error, everyMs: this.#lookMs },
          'memory.events cannot be watched',
        )
      this.#toldUnwatched = true
    }
    try {
      this.#watchers.push(cgroup.watchEvents(() => this.#heed()))
      this.#watchers.push(...cgroup.watchSettings(() => void this.#lookAtSettings()))
      for (const watcher of this.#watchers) watcher.on('error', unwatched)
    } catch (error) {
      unwatched(error)
    }
  }

  #unwatch(): void {
    for (const watcher of this.#watchers) watcher.close()
    this.#watchers = []
  }

  /** Sets the throttle for the limit that is in force now. */
  async arm(): Promise<void> {
    const disarmings = this.#disarmings
    const armed = (this.#arming ?? Promise.resolve()).catch(() => undefined).then(() => this.#arm(disarmings))
    this.#arming = armed
    try {
      await armed
    } finally {
      if (this.#arming === armed) this.#arming = undefined
      if (this.#lookAtSettingsAgain) void this.#lookAtSettings()
    }
  }

  async #arm(disarmings: number): Promise<void> {
    const limitBytes = await this.#options.cgroup.limitBytes()
    // The answer to a crossing may come after the end.
    if (this.#ended || disarmings !== this.#disarmings) return
    this.#limitBytes = limitBytes
    if (!Number.isFinite(limitBytes)) {
      await this.disarm()
      this.#state = 'no-limit'
      return
    }
    try {
      await this.#throttle.set(this.#throttleBytes(limitBytes))
    } catch (error) {
      // On a full disk, for example: no throttle is better than one for an old limit.
      await this.disarm()
      throw error
    }
    if (disarmings !== this.#disarmings) return this.#throttle.putBack()
    this.#state = 'armed'
    this.#heed()
  }

  #throttleBytes(limitBytes: number): number {
    const { percent } = this.#options
    return this.#raisedAt === limitBytes
      ? raisedThrottleBytes(limitBytes, percent)
      : thresholdBytes(limitBytes, percent)
  }

  /** Removes the throttle. It is set again when the usage is far enough below the threshold, or below that of a raised limit. */
  async disarm(): Promise<void> {
    // The cgroup may belong to the next container by now.
    if (this.#ended) return
    this.#state = 'let-go'
    this.#disarmings++
    this.#raisedAt = undefined
    this.#throttle.putBack()
  }

  /** Removes the throttle for good. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#unwatch()
    clearInterval(this.#timer)
    this.#state = 'stopped'
    this.#disarmings++
    try {
      this.#throttle.putBack()
    } catch (error) {
      // The record stays for as long as the throttle is set.
      if (!isGone(error)) throw error
    }
    this.#throttle.forget()
  }

  #heed(): void {
    this.#lookAgain = true
    if (!this.#looking) void this.#look()
  }

  async #look(): Promise<void> {
    this.#looking = true
    try {
      while (this.#lookAgain && this.#state === 'armed') {
        this.#lookAgain = false
        const { cgroup, percent, crossed } = this.#options
        const [limitBytes, usage] = [await cgroup.limitBytes(), await cgroup.usage()]
        if (isPressure(usage, limitBytes, percent, availableParallelism()))
          await crossed({ usage, limitBytes })
        else await new Promise((resolve) => setTimeout(resolve, restMs).unref())
      }
    } catch (error) {
      this.#report(error)
      // A crossing that cannot be answered (on a full disk, for example) must not leave the application throttled.
      if (this.#state !== 'stopped') await this.disarm().catch((worse: unknown) => this.#report(worse))
    } finally {
      this.#looking = false
    }
  }

  async #lookNowAndThen(): Promise<void> {
    if (this.#watchers.length === 0) this.#watch()
    await this.#lookAtSettings()
    try {
      if (this.#arming !== undefined) return
      if (this.#state === 'let-go' && !this.#looking) await this.#armAgain()
      if (this.#state !== 'armed') return
      await this.#raise()
      this.#heed()
    } catch (error) {
      this.#report(error)
    }
  }

  /** The limit, and `memory.high`. */
  async #lookAtSettings(): Promise<void> {
    this.#lookAtSettingsAgain = this.#arming !== undefined
    if (this.#ended || this.#lookAtSettingsAgain) return
    try {
      const limitBytes = await this.#options.cgroup.limitBytes()
      if (this.#state === 'armed') {
        if (!this.#throttle.stands(this.#throttleBytes(limitBytes))) await this.arm()
      } else if (this.#state === 'no-limit' && Number.isFinite(limitBytes)) await this.arm()
      else if (limitBytes > this.#limitBytes) await this.#armRaised(limitBytes)
    } catch (error) {
      this.#report(error)
    }
  }

  /** Sets the throttle for a limit that was raised later than we waited for it. Not while a crossing is answered: the next one would be missed. */
  async #armRaised(limitBytes: number): Promise<void> {
    const { cgroup, percent, relieved } = this.#options
    if (isPressure(await cgroup.usage(), limitBytes, percent, availableParallelism())) return
    if (this.#state !== 'let-go' || this.#looking || this.#arming !== undefined) return
    await this.arm()
    relieved?.()
  }

  /** Only at the regular look, not at each event: a sawtooth has freed its memory by the time that the event arrives. */
  async #armAgain(): Promise<void> {
    const { cgroup, percent, relieved } = this.#options
    if (!mayRearm(await cgroup.usage(), await cgroup.limitBytes(), percent)) return
    await this.arm()
    relieved?.()
  }

  /**
   * Raises the throttle where the usage shows no pressure, but the application waits for its own file pages all the time. The raised throttle
   * still stops an application that fills its memory. It is lowered again when the whole usage, page cache included, is low.
   */
  async #raise(): Promise<void> {
    const { cgroup, percent, log } = this.#options
    const [limitBytes, usage] = [await cgroup.limitBytes(), await cgroup.usage()]
    const isStalled = this.#stall.lasts(cgroup.stalledUs(), performance.now())
    if (isPressure(usage, limitBytes, percent, availableParallelism())) return this.#stall.forget()
    if (this.#raisedAt === limitBytes) {
      if (!mayRearm({ ...usage, reclaimableBytes: 0 }, limitBytes, percent)) return
      this.#raisedAt = undefined
    } else {
      // Not where it would change nothing: a lower value of somebody else is in force.
      if (!isStalled || this.#throttle.stands(raisedThrottleBytes(limitBytes, percent))) return
      this.#raisedAt = limitBytes
      log.info(
        { event: 'memory.throttle_raised', ...usage, limitBytes },
        'the application waits for memory all the time and does not fill it: the sidecar raises the throttle',
      )
    }
    await this.arm()
  }

  /** A cgroup that is gone went with its container. */
  #report(error: unknown): void {
    if (!isGone(error))
      this.#options.log.warn(
        { event: 'memory.unread', err: error },
        'the memory cgroup could not be looked at',
      )
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
}
