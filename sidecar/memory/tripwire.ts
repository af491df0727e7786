/**
 * The brake on one application's memory, cgroup v2: `memory.high` at the threshold makes the kernel itself hold whoever allocates
 * beyond it, however fast, and tell us so through memory.events. That tells of page cache as well, so each crossing is looked at.
 */
import { existsSync, readFileSync, rmSync, writeFileSync, type FSWatcher } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Log } from '../../src/log.ts'
import type { MemoryCgroup } from './memory-cgroup.ts'
import { isPressure, mayRearm, parseLimitBytes, thresholdBytes, type MemoryUsage } from './usage.ts'

/** How soon after a crossing that was none of our business the next one is looked at; the brake holds meanwhile. */
const restMs = 50
/** How often the limit, and a brake that was let go, are looked at. */
const lookMs = 5_000

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
  log: Log
}

export type TripwireState = 'armed' | 'let-go' | 'no-limit' | 'stopped'

export class Tripwire {
  readonly #options: TripwireOptions
  #state: TripwireState = 'stopped'
  #original = 'max'
  #brakeBytes = 0
  /** How often the brake was let go: setting it may take so long that it is let go meanwhile. */
  #letsGo = 0
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #toldUnwatched = false
  #ended = false
  #looking = false
  #lookAgain = false

  constructor(options: TripwireOptions) {
    this.#options = options
  }

  get state(): TripwireState {
    return this.#state
  }

  /** @throws Error of the file system where the cgroup is gone or cannot be written: no brake of ours holds then, nor one of an earlier life. */
  async start(): Promise<void> {
    const { cgroup, recordFile } = this.#options
    try {
      const recorded = existsSync(recordFile) ? readFileSync(recordFile, 'utf8').trim() : ''
      this.#original = recorded === '' ? await cgroup.brake() : recorded
      if (recorded === '') writeFileSync(recordFile, this.#original)
      this.#watch()
      this.#timer = setInterval(() => void this.#lookNowAndThen(), lookMs).unref()
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
      this.#watcher = undefined
      if (!this.#toldUnwatched) log.warn({ err: error, everyMs: lookMs }, 'memory.events cannot be watched')
      this.#toldUnwatched = true
    }
    try {
      this.#watcher = cgroup.watchEvents(() => this.#heed())
      this.#watcher.on('error', unwatched)
    } catch (error) {
      unwatched(error)
    }
  }

  /** Sets the brake for the limit that is in force now. */
  async arm(): Promise<void> {
    const { cgroup, percent } = this.#options
    const letsGo = this.#letsGo
    const limitBytes = await cgroup.limitBytes()
    // By a crossing, say, whose answer came after the end.
    if (this.#ended) return
    if (!Number.isFinite(limitBytes)) {
      await this.letGo()
      this.#state = 'no-limit'
      return
    }
    const threshold = thresholdBytes(limitBytes, percent)
    // One that somebody else has set lower stays.
    this.#brakeBytes = Math.min(threshold, parseLimitBytes(this.#original))
    await cgroup.setBrake(this.#brakeBytes)
    if (letsGo !== this.#letsGo) return cgroup.raiseBrake(this.#original)
    this.#state = 'armed'
    this.#heed()
  }

  /** Puts back what was there before. Usage is watched on; far enough below the threshold the brake is set again. */
  async letGo(): Promise<void> {
    this.#state = this.#ended ? 'stopped' : 'let-go'
    this.#letsGo++
    this.#options.cgroup.raiseBrake(this.#original)
  }

  /** Puts back what was there before, for good. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#watcher?.close()
    clearInterval(this.#timer)
    this.#state = 'stopped'
    this.#letsGo++
    this.#options.cgroup.raiseBrake(this.#original)
    rmSync(this.#options.recordFile, { force: true })
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
    const { cgroup, percent } = this.#options
    if (this.#watcher === undefined) this.#watch()
    try {
      const limitBytes = await cgroup.limitBytes()
      if (this.#state === 'armed') {
        if (
          this.#brakeBytes !== Math.min(thresholdBytes(limitBytes, percent), parseLimitBytes(this.#original))
        )
          await this.arm()
        else this.#heed()
      } else if (this.#state === 'no-limit') {
        if (Number.isFinite(limitBytes)) await this.arm()
      } else if (
        this.#state === 'let-go' &&
        !this.#looking &&
        mayRearm(await cgroup.usage(), limitBytes, percent)
      ) {
        await this.arm()
        this.#options.relieved?.()
      }
    } catch (error) {
      this.#tell(error)
    }
  }

  /** A cgroup that is gone went with its container. */
  #tell(error: unknown): void {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOENT' && code !== 'ENODEV')
      this.#options.log.warn({ err: error }, 'the memory cgroup could not be looked at')
  }
}
