/**
 * The brake on one application's memory, cgroup v2: `memory.high` at the threshold makes the kernel itself hold whoever allocates
 * beyond it, however fast, and tell us so through memory.events. That tells of page cache as well, so each crossing is looked at.
 * The limit and the brake are others' to change, too: what they write is heeded (brake.ts).
 */
import type { FSWatcher } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { EventLog } from '../../../src/log.ts'
import { Brake } from './brake.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'
import { Stall } from './stall.ts'
import { givenWayBytes, isPressure, mayRearm, thresholdBytes, type MemoryUsage } from './usage.ts'

/** How soon after a crossing that was none of our business the next one is looked at; the brake holds meanwhile. */
const restMs = 50
/** How often all is looked at of which nothing may have told: the settings, a brake that was let go or has given way. */
const defaultLookMs = 5_000

export type Crossing = { usage: MemoryUsage; limitBytes: number }

export type TripwireOptions = {
  cgroup: MemoryCgroup
  percent: number
  /** Where is kept what `memory.high` said before us, for a sidecar that is started again. */
  recordFile: string
  /** The next crossing is told when this one has been answered. */
  crossed: (crossing: Crossing) => Promise<void>
  /** What was let go is watched again: there is room. */
  relieved?: () => void
  log: EventLog
  /** For tests. */
  lookMs?: number
}

export type TripwireState = 'armed' | 'let-go' | 'no-limit' | 'stopped'

export class Tripwire {
  readonly #options: TripwireOptions
  readonly #brake: Brake
  readonly #lookMs: number
  readonly #stall = new Stall()
  #state: TripwireState = 'stopped'
  /** For this limit the brake has given way to pages in constant use. */
  #gaveWayAt: number | undefined
  /** For which the brake was last set, or could not be: for a larger one it is set again although it was let go. */
  #limitBytes = Number.POSITIVE_INFINITY
  /** How often the brake was let go: setting it may take so long that it is let go meanwhile. */
  #letsGo = 0
  /** One after the other: two may be for different limits. */
  #arming: Promise<void> | undefined
  /** Somebody may have written meanwhile. */
  #lookAtSettingsAgain = false
  #watchers: FSWatcher[] = []
  #timer: NodeJS.Timeout | undefined
  #toldUnwatched = false
  #ended = false
  #looking = false
  #lookAgain = false

  constructor(options: TripwireOptions) {
    this.#options = options
    this.#brake = new Brake(options.cgroup, options.recordFile)
    this.#lookMs = options.lookMs ?? defaultLookMs
  }

  get state(): TripwireState {
    return this.#state
  }

  /** @throws Error of the file system where the cgroup is gone or cannot be written: no brake of ours holds then, nor one of an earlier life. */
  async start(): Promise<void> {
    try {
      this.#brake.begin()
      this.#watch()
      this.#timer = setInterval(() => void this.#lookNowAndThen(), this.#lookMs).unref()
      await this.arm()
    } catch (error) {
      await this.stop().catch((worse: unknown) => this.#tell(worse))
      throw error
    }
  }

  /** Inotify's instances are counted for all of the node's root (fs.inotify.max_user_instances): without one usage is looked at now and then. */
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

  /** Sets the brake for the limit that is in force now. */
  async arm(): Promise<void> {
    const letsGo = this.#letsGo
    const armed = (this.#arming ?? Promise.resolve()).catch(() => undefined).then(() => this.#arm(letsGo))
    this.#arming = armed
    try {
      await armed
    } finally {
      if (this.#arming === armed) this.#arming = undefined
      if (this.#lookAtSettingsAgain) void this.#lookAtSettings()
    }
  }

  async #arm(letsGo: number): Promise<void> {
    const limitBytes = await this.#options.cgroup.limitBytes()
    // By a crossing, say, whose answer came after the end.
    if (this.#ended || letsGo !== this.#letsGo) return
    this.#limitBytes = limitBytes
    if (!Number.isFinite(limitBytes)) {
      await this.letGo()
      this.#state = 'no-limit'
      return
    }
    try {
      await this.#brake.set(this.#brakeBytes(limitBytes))
    } catch (error) {
      // On a full disk, say: better none than that of a limit which is no more.
      await this.letGo()
      throw error
    }
    if (letsGo !== this.#letsGo) return this.#brake.putBack()
    this.#state = 'armed'
    this.#heed()
  }

  #brakeBytes(limitBytes: number): number {
    const { percent } = this.#options
    return this.#gaveWayAt === limitBytes
      ? givenWayBytes(limitBytes, percent)
      : thresholdBytes(limitBytes, percent)
  }

  /** Puts back what others have set. Usage is watched on; far enough below the threshold, or below that of a raised limit, the brake is set again. */
  async letGo(): Promise<void> {
    // Its cgroup may be the next container's by now.
    if (this.#ended) return
    this.#state = 'let-go'
    this.#letsGo++
    this.#gaveWayAt = undefined
    this.#brake.putBack()
  }

  /** Puts back what others have set, for good. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#unwatch()
    clearInterval(this.#timer)
    this.#state = 'stopped'
    this.#letsGo++
    try {
      this.#brake.putBack()
    } catch (error) {
      // The record is of a brake that stands.
      if (!isGone(error)) throw error
    }
    this.#brake.forget()
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
      this.#tell(error)
      // A crossing that cannot be answered (a full disk, say) must not leave the application under the brake.
      if (this.#state !== 'stopped') await this.letGo().catch((worse: unknown) => this.#tell(worse))
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
      await this.#giveWay()
      this.#heed()
    } catch (error) {
      this.#tell(error)
    }
  }

  /** The limit, and `memory.high`. */
  async #lookAtSettings(): Promise<void> {
    this.#lookAtSettingsAgain = this.#arming !== undefined
    if (this.#ended || this.#lookAtSettingsAgain) return
    try {
      const limitBytes = await this.#options.cgroup.limitBytes()
      if (this.#state === 'armed') {
        if (!this.#brake.stands(this.#brakeBytes(limitBytes))) await this.arm()
      } else if (this.#state === 'no-limit' && Number.isFinite(limitBytes)) await this.arm()
      else if (limitBytes > this.#limitBytes) await this.#armRaised(limitBytes)
    } catch (error) {
      this.#tell(error)
    }
  }

  /** Somebody has given more, later than we waited for it. Not while a crossing is answered: nobody would hear of the next one. */
  async #armRaised(limitBytes: number): Promise<void> {
    const { cgroup, percent, relieved } = this.#options
    if (isPressure(await cgroup.usage(), limitBytes, percent, availableParallelism())) return
    if (this.#state !== 'let-go' || this.#looking || this.#arming !== undefined) return
    await this.arm()
    relieved?.()
  }

  /** Not as soon as something is written: a sawtooth has given back its tooth by the time that its being let go is told. */
  async #armAgain(): Promise<void> {
    const { cgroup, percent, relieved } = this.#options
    if (!mayRearm(await cgroup.usage(), await cgroup.limitBytes(), percent)) return
    await this.arm()
    relieved?.()
  }

  /**
   * What is no pressure by the numbers may be an application that waits for its own pages all the time, and would not without us. What it
   * holds in vain is let through, up to where the brake still stops what fills its memory; until its usage, page cache and all, is down again.
   */
  async #giveWay(): Promise<void> {
    const { cgroup, percent, log } = this.#options
    const [limitBytes, usage] = [await cgroup.limitBytes(), await cgroup.usage()]
    const isStalled = this.#stall.lasts(cgroup.stalledUs(), performance.now())
    if (isPressure(usage, limitBytes, percent, availableParallelism())) return this.#stall.forget()
    if (this.#gaveWayAt === limitBytes) {
      if (!mayRearm({ ...usage, reclaimableBytes: 0 }, limitBytes, percent)) return
      this.#gaveWayAt = undefined
    } else {
      // Not where it would change nothing: what holds is somebody else's.
      if (!isStalled || this.#brake.stands(givenWayBytes(limitBytes, percent))) return
      this.#gaveWayAt = limitBytes
      log.info(
        { event: 'memory.throttle_raised', ...usage, limitBytes },
        'the application waits for memory all the time and does not fill it: the brake gives way',
      )
    }
    await this.arm()
  }

  /** A cgroup that is gone went with its container. */
  #tell(error: unknown): void {
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
