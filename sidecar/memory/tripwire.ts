/**
 * The brake on one application's memory, cgroup v2: `memory.high` at the threshold makes the kernel itself hold whoever allocates
 * beyond it, however fast, and tell us so through memory.events. That tells of page cache as well, so each crossing is looked at.
 */
import type { FSWatcher } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
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
  log: Log
}

export type TripwireState = 'armed' | 'let-go' | 'no-limit' | 'stopped'

export class Tripwire {
  readonly #options: TripwireOptions
  #state: TripwireState = 'stopped'
  #original = 'max'
  #brakeBytes = 0
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #lookAgain = false

  constructor(options: TripwireOptions) {
    this.#options = options
  }

  get state(): TripwireState {
    return this.#state
  }

  /** @throws Error of the file system where the cgroup is gone or cannot be written */
  async start(): Promise<void> {
    const { cgroup, recordFile } = this.#options
    this.#original =
      (await readFile(recordFile, 'utf8').catch(() => undefined))?.trim() ?? (await cgroup.brake())
    await writeFile(recordFile, this.#original)
    this.#watcher = cgroup.watchEvents(() => this.#heed())
    this.#watcher.on('error', (error) =>
      this.#options.log.warn({ err: error }, 'memory.events cannot be watched'),
    )
    this.#timer = setInterval(() => void this.#lookNowAndThen(), lookMs).unref()
    await this.arm()
  }

  /** Sets the brake for the limit that is in force now. */
  async arm(): Promise<void> {
    const { cgroup, percent } = this.#options
    const limitBytes = await cgroup.limitBytes()
    if (!Number.isFinite(limitBytes)) {
      await this.letGo()
      this.#state = 'no-limit'
      return
    }
    const threshold = thresholdBytes(limitBytes, percent)
    // One that somebody else has set lower stays.
    this.#brakeBytes = Math.min(threshold, parseLimitBytes(this.#original))
    await cgroup.setBrake(this.#brakeBytes)
    this.#state = 'armed'
    this.#heed()
  }

  /** Puts back what was there before. Usage is watched on; far enough below the threshold the brake is set again. */
  async letGo(): Promise<void> {
    this.#state = 'let-go'
    await this.#options.cgroup.setBrake(this.#original)
  }

  /** Puts back what was there before, for good. */
  async stop(): Promise<void> {
    this.#watcher?.close()
    clearInterval(this.#timer)
    this.#state = 'stopped'
    await this.#options.cgroup.setBrake(this.#original)
    await rm(this.#options.recordFile, { force: true })
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
      } else if (this.#state === 'let-go' && mayRearm(await cgroup.usage(), limitBytes, percent)) {
        await this.arm()
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
