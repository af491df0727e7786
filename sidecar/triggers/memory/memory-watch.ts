/**
 * One container's memory, watched for as long as its launcher lives: each crossing is answered, what was let go for want of memory is
 * asked for again, and neither frost nor brake is in the way of CRIU, whichever checkpoint it takes.
 */
import type { Log } from '../../../src/log.ts'
import type { ContainerPlan } from '../../../src/pod-plan.ts'
import { volumePaths } from '../../../src/volume.ts'
import { recordOf } from './left-frozen.ts'
import { cgroupMount, MemoryCgroup } from './memory-cgroup.ts'
import { PolledUsage } from './polled-usage.ts'
import { answerCrossing, growLate, look, saveLate } from './pressure.ts'
import type { Answered, PressedContainer, PressureParts } from './remedies.ts'
import { SocketGrower } from './resource-grower.ts'
import { thaw, type Standstill } from './standstill.ts'
import type { EndedContainer } from './told-to-end.ts'
import { Tripwire, type Crossing, type TripwireState } from './tripwire.ts'
import { parseLimitBytes } from './usage.ts'

/** How often more memory is asked for again for what was let go for want of it. */
const defaultAskAgainMs = 60_000
/** How often that is done for a checkpoint of what was let go without one: a dump may fail by chance, or always. */
const lateCheckpoints = 3
/** CRIU's instructions in the application need some room below the brake. */
const roomForCriu = 0.95

export type MemoryWatchParts = {
  plan: Pick<ContainerPlan, 'name' | 'memory'>
  launcherPid: number
  container: PressedContainer & EndedContainer
  /** By which its checkpoints are asked for, as all triggers ask for them. */
  asked: Pick<PressedContainer, 'checkpoint'>
  /** What came of a crossing, or is known of it before the answer. */
  told: (answered: Answered) => void
  /** The memory has room again. */
  relieved: () => void
  log: Log
}

/** For tests. */
export type MemoryWatchPlaces = { run?: string; open?: typeof MemoryCgroup.open; askAgainMs?: number }

export class MemoryWatch {
  readonly #parts: MemoryWatchParts
  readonly #cgroup: MemoryCgroup
  readonly #askAgainMs: number
  readonly #wire: Tripwire | PolledUsage
  readonly #grower: SocketGrower | undefined
  readonly #reschedules = { failed: 0 }
  /** While a crossing is being answered. */
  #standstill: Standstill | undefined
  /** A crossing is being answered; that may take as long as a checkpoint is being stored. */
  #isAnswering = false
  #isAskingAgain = false
  #isEnded = false
  /** How often one more checkpoint is tried of what was let go without, as far as is known: another's that was under way may have failed. */
  #owesCheckpoint = 0
  /** The limit that it was given, until that is recorded for the pod that takes its place. */
  #unrecordedBytes: number | undefined
  /** The brake was let go for as long as CRIU holds the application. */
  #owesBrake = false
  #askingAgain: NodeJS.Timeout | undefined

  /** @throws Error of the file system where there is no such cgroup */
  static async open(parts: MemoryWatchParts, places: MemoryWatchPlaces = {}): Promise<MemoryWatch> {
    const { plan, launcherPid, log } = parts
    const { run = volumePaths.run, open = MemoryCgroup.open } = places
    const cgroup = await open(launcherPid, cgroupMount(plan.name), log)
    return new MemoryWatch(parts, cgroup, run, places.askAgainMs ?? defaultAskAgainMs)
  }

  private constructor(parts: MemoryWatchParts, cgroup: MemoryCgroup, run: string, askAgainMs: number) {
    const { plan, launcherPid, relieved, log } = parts
    this.#parts = parts
    this.#cgroup = cgroup
    this.#askAgainMs = askAgainMs
    const { resizeSocket, thresholdPercent: percent } = plan.memory
    this.#grower = resizeSocket === undefined ? undefined : new SocketGrower(resizeSocket)
    const crossed = (crossing: Crossing) => this.#crossed(crossing)
    const options = { cgroup, percent, crossed, relieved, log }
    this.#wire =
      cgroup.version === 2
        ? new Tripwire({ ...options, recordFile: recordOf(`${run}/${plan.name}`, launcherPid) })
        : new PolledUsage(options)
  }

  get launcherPid(): number {
    return this.#parts.launcherPid
  }

  get state(): TripwireState {
    return this.#wire.state
  }

  /** @throws Error of the file system where the cgroup is gone or cannot be written */
  async begin(): Promise<void> {
    this.#askingAgain = setInterval(() => void this.#lookAgain(), this.#askAgainMs).unref()
    await this.#wire.start()
    this.#parts.log.info(
      {
        version: this.#cgroup.version,
        watch: this.state,
        percent: this.#parts.plan.memory.thresholdPercent,
      },
      'the memory is watched',
    )
  }

  /** What was set is put back; a cgroup goes with its container. */
  async end(): Promise<void> {
    this.#isEnded = true
    clearInterval(this.#askingAgain)
    // Before the record is gone, by which guard would thaw it.
    await this.#standstill?.end()
    await this.#wire.stop().catch(() => undefined)
  }

  /**
   * CRIU waits for its own instructions in the application, which are neither to be frozen nor held by the brake: a checkpoint may be asked for
   * just when a crossing is being answered, or a crossing come just when one was asked for.
   */
  async stopped(): Promise<void> {
    if (this.#cgroup.version !== 2) return
    const isFrozen = this.#cgroup.isFrozen()
    try {
      if (this.state === 'armed' && (isFrozen || (await this.#isNearBrake()))) {
        this.#owesBrake = true
        await this.#wire.letGo()
      }
    } finally {
      this.#standstill?.interrupt()
      if (isFrozen) thaw({ cgroup: this.#cgroup, log: this.#parts.log })
    }
  }

  /** CRIU is about to let go: before the application runs, so that it cannot fill what it has left while nothing holds it. */
  resuming(): void {
    this.#standstill?.again()
    if (!this.#owesBrake) return
    this.#owesBrake = false
    if (this.state !== 'let-go') return
    this.#wire.arm().catch((error: unknown) => {
      this.#parts.log.warn({ err: error }, 'the brake could not be set anew')
    })
  }

  async #crossed(crossing: Crossing): Promise<void> {
    // CRIU's own instructions have come to the brake.
    if (this.#parts.container.doing === 'stopped') return this.stopped()
    this.#isAnswering = true
    // What has just been restored is not saved anew.
    const isOnTrial = this.#parts.container.isOnTrial
    try {
      const answered = await answerCrossing(this.#pressure(), crossing)
      const isUnsaved = this.state === 'let-go' && (answered === undefined || answered.did === 'nothing')
      this.#owesCheckpoint = isUnsaved && !isOnTrial ? lateCheckpoints : 0
      this.#tell(answered)
    } finally {
      this.#isAnswering = false
      this.#standstill = undefined
    }
  }

  async #lookAgain(): Promise<void> {
    await Promise.all([this.#askAgain(), this.#saveAgain(), this.#record()])
  }

  async #saveAgain(): Promise<void> {
    if (this.#owesCheckpoint === 0 || this.#isAnswering || this.state !== 'let-go') return
    const left = this.#owesCheckpoint - 1
    // Not beside itself: it may take as long as it is being stored.
    this.#owesCheckpoint = 0
    try {
      const answered = await saveLate(this.#pressure())
      if (answered?.did !== 'checkpoint') this.#owesCheckpoint = answered === undefined ? left + 1 : left
      this.#tell(answered)
    } catch (error) {
      this.#owesCheckpoint = left
      this.#parts.log.warn({ err: error }, 'a checkpoint of what was let go without one could not be taken')
    }
  }

  /**
   * What it was given in place the pod that takes its place must have as well, or the checkpoint will not fit into it. Not waited for: the
   * store may hang.
   */
  async #record(): Promise<void> {
    const bytes = this.#unrecordedBytes
    if (bytes === undefined) return
    this.#unrecordedBytes = undefined
    try {
      await this.#parts.container.recordNeed(bytes)
    } catch (error) {
      this.#unrecordedBytes ??= bytes
      this.#parts.log.warn({ err: error, bytes }, 'what the application was given could not be recorded for its replacement: it is tried again') // prettier-ignore
    }
  }

  async #askAgain(): Promise<void> {
    const isSaved = this.#parts.container.doing === 'being-saved'
    if (this.#isAskingAgain || (this.#isAnswering && !isSaved)) return
    // Given more while its checkpoint is being stored, it may have filled that as well: nobody hears of a crossing until it is stored.
    const isUnheard = this.state === 'armed' && this.#isAnswering
    if (this.state !== 'let-go' && !isUnheard) return
    this.#isAskingAgain = true
    try {
      const answered = await growLate(this.#pressure())
      this.#tell(answered)
      if (answered !== undefined) this.#parts.relieved()
      if (isUnheard && answered === undefined && (await look(this.#pressure())).isPressure)
        await this.#wire.letGo()
    } catch (error) {
      this.#parts.log.debug({ err: error }, 'more memory could not be asked for again')
    } finally {
      this.#isAskingAgain = false
    }
  }

  #tell(answered: Answered | undefined): void {
    if (answered === undefined) return
    this.#parts.told(answered)
    if (answered.did !== 'grow' || !this.#parts.plan.memory.recordsNeeds) return
    this.#unrecordedBytes = answered.toBytes
    void this.#record()
  }

  #pressure(): PressureParts {
    const { plan, launcherPid, container, told, log } = this.#parts
    return {
      plan: plan.memory,
      container: this.#whileItLives(),
      cgroup: this.#cgroup,
      grower: this.#grower,
      brake: this.#wire,
      name: plan.name,
      launcherPid,
      ending: container,
      log,
      reschedules: this.#reschedules,
      told,
      stands: (standstill) => void (this.#standstill = standstill),
    }
  }

  /** An answer may come after the end, when another container of that name runs. Only one that is held is still to be left. */
  #whileItLives(): PressedContainer {
    const { container, asked } = this.#parts
    const isEnded = () => this.#isEnded
    return {
      get doing() {
        return isEnded() ? 'gone' : container.doing
      },
      podUid: container.podUid,
      get isOnTrial() {
        return container.isOnTrial
      },
      fillsAgain: () => isEnded() || container.fillsAgain(),
      checkpoint: async (request) =>
        isEnded()
          ? { outcome: 'failed', reason: 'not-running', detail: 'the application is gone' }
          : asked.checkpoint(request),
      recordedNeed: () => container.recordedNeed(),
      recordNeed: (bytes) => container.recordNeed(bytes),
      leave: (code) => container.leave(code),
    }
  }

  async #isNearBrake(): Promise<boolean> {
    const { currentBytes } = await this.#cgroup.usage()
    return currentBytes >= parseLimitBytes(this.#cgroup.brake()) * roomForCriu
  }
}
