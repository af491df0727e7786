/**
 * Watches the memory of one container for as long as its launcher lives. It answers each crossing, retries a refused resize and a failed
 * checkpoint, and removes freeze and throttle while CRIU dumps, for whichever request.
 */
import type { EventLog } from '../../../src/log.ts'
import type { ContainerPlan } from '../../../src/pod-plan.ts'
import { volumePaths } from '../../../src/volume.ts'
import { recordOf } from './left-frozen.ts'
import { cgroupMount, MemoryCgroup } from './memory-cgroup.ts'
import { PolledUsage } from './polled-usage.ts'
import { answerCrossing, growLate, look, saveLate } from './pressure.ts'
import type { Answered, PressedContainer, PressureParts } from './remedies.ts'
import type { ResourceGrower } from './resource-grower.ts'
import { thaw, type Standstill } from './standstill.ts'
import type { EndedContainer } from './pending-end.ts'
import { Tripwire, type Crossing, type TripwireState } from './tripwire.ts'
import { parseLimitBytes } from './usage.ts'

/** The pause between two retries of a refused resize, or of a failed checkpoint. */
const defaultAskAgainMs = 60_000
/** The most retries of a failed checkpoint: a dump may fail by chance, or always. */
const lateCheckpoints = 3
/** CRIU's instructions in the application need some room below the throttle, as a share of it. */
const roomForCriu = 0.95

export type MemoryWatchParts = {
  plan: Pick<ContainerPlan, 'name' | 'memory'>
  launcherPid: number
  container: PressedContainer & EndedContainer
  /** By which its checkpoints are asked for, as all triggers ask for them. */
  asked: Pick<PressedContainer, 'checkpoint'>
  /** Called with the outcome of a crossing, or with a state before the outcome. */
  report: (answered: Answered) => void
  /** Called when the memory has room again. */
  relieved: () => void
  /** Who resizes the pod at the moment; undefined where nobody does. */
  grower: () => ResourceGrower | undefined
  log: EventLog
}

/** For tests. */
export type MemoryWatchPlaces = { run?: string; open?: typeof MemoryCgroup.open; askAgainMs?: number }

export class MemoryWatch {
  readonly #parts: MemoryWatchParts
  readonly #cgroup: MemoryCgroup
  readonly #askAgainMs: number
  readonly #wire: Tripwire | PolledUsage
  readonly #reschedules = { failed: 0 }
  /** While a crossing is being answered. */
  #standstill: Standstill | undefined
  /** A crossing is being answered; that may take as long as a checkpoint is being stored. */
  #isAnswering = false
  #isAskingAgain = false
  #isEnded = false
  /** The retries left of a failed checkpoint. The checkpoint that was under way for another request may have failed. */
  #owesCheckpoint = 0
  /** The limit that it was given, until that is recorded for the pod that takes its place. */
  #unrecordedBytes: number | undefined
  /** The throttle was removed for as long as CRIU has the application stopped. */
  #owesThrottle = false
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
    const { thresholdPercent: percent } = plan.memory
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
        event: 'memory.watched',
        version: this.#cgroup.version,
        watch: this.state,
        percent: this.#parts.plan.memory.thresholdPercent,
      },
      'the memory is watched',
    )
  }

  /** Thaws, and removes the throttle. */
  async end(): Promise<void> {
    this.#isEnded = true
    clearInterval(this.#askingAgain)
    // Thawed before the record is removed: by that, guard would thaw.
    await this.#standstill?.end()
    await this.#wire.stop().catch(() => undefined)
  }

  /**
   * CRIU runs instructions of its own in the application, which must be neither frozen nor throttled. A checkpoint may be asked for while a
   * crossing is answered, or a crossing may happen just when a checkpoint was asked for.
   */
  async stopped(): Promise<void> {
    if (this.#cgroup.version !== 2) return
    const isFrozen = this.#cgroup.isFrozen()
    try {
      if (this.state === 'armed' && (isFrozen || (await this.#isNearThrottle()))) {
        this.#owesThrottle = true
        await this.#wire.disarm()
      }
    } finally {
      this.#standstill?.interrupt()
      if (isFrozen) thaw({ cgroup: this.#cgroup, log: this.#parts.log })
    }
  }

  /** Restores freeze and throttle before CRIU resumes the application, so that it cannot fill the rest of its memory unthrottled. */
  resuming(): void {
    this.#standstill?.again()
    if (!this.#owesThrottle) return
    this.#owesThrottle = false
    if (this.state !== 'let-go') return
    this.#wire.arm().catch((error: unknown) => {
      this.#parts.log.warn(
        { event: 'memory.throttle_failed', err: error },
        'the throttle could not be set again',
      )
    })
  }

  async #crossed(crossing: Crossing): Promise<void> {
    // CRIU's own instructions are throttled.
    if (this.#parts.container.doing === 'stopped') return this.stopped()
    this.#isAnswering = true
    // An application that has just been restored is not saved again.
    const isOnTrial = this.#parts.container.isOnTrial
    try {
      const answered = await answerCrossing(this.#pressure(), crossing)
      const isUnsaved = this.state === 'let-go' && (answered === undefined || answered.did === 'nothing')
      this.#owesCheckpoint = isUnsaved && !isOnTrial ? lateCheckpoints : 0
      this.#report(answered)
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
    // Not twice at a time: it may take as long as the storing.
    this.#owesCheckpoint = 0
    try {
      const answered = await saveLate(this.#pressure())
      if (answered?.did !== 'checkpoint') this.#owesCheckpoint = answered === undefined ? left + 1 : left
      this.#report(answered)
    } catch (error) {
      this.#owesCheckpoint = left
      this.#parts.log.warn(
        { event: 'memory.late_save_failed', err: error },
        'a late checkpoint of a full memory could not be taken',
      )
    }
  }

  /**
   * Records the raised limit for the replacement, into which the checkpoint would not fit otherwise. Not awaited: the store may hang.
   */
  async #record(): Promise<void> {
    const bytes = this.#unrecordedBytes
    if (bytes === undefined) return
    this.#unrecordedBytes = undefined
    try {
      await this.#parts.container.recordNeed(bytes)
    } catch (error) {
      this.#unrecordedBytes ??= bytes
      this.#parts.log.warn({ event: 'memory.need_not_recorded', err: error, bytes }, 'what the application was given could not be recorded for its replacement: it is tried again') // prettier-ignore
    }
  }

  async #askAgain(): Promise<void> {
    const isSaved = this.#parts.container.doing === 'being-saved'
    if (this.#isAskingAgain || (this.#isAnswering && !isSaved)) return
    // After a resize during the storing, the application may have filled that memory as well: no crossing is answered until it is stored.
    const isUnheard = this.state === 'armed' && this.#isAnswering
    if (this.state !== 'let-go' && !isUnheard) return
    this.#isAskingAgain = true
    try {
      const answered = await growLate(this.#pressure())
      this.#report(answered)
      if (answered !== undefined) this.#parts.relieved()
      if (isUnheard && answered === undefined && (await look(this.#pressure())).isPressure)
        await this.#wire.disarm()
    } catch (error) {
      this.#parts.log.debug(
        { event: 'memory.retry_failed', err: error },
        'more memory could not be asked for again',
      )
    } finally {
      this.#isAskingAgain = false
    }
  }

  #report(answered: Answered | undefined): void {
    if (answered === undefined) return
    this.#parts.report(answered)
    if (answered.did !== 'grow' || !this.#parts.plan.memory.recordsNeeds) return
    this.#unrecordedBytes = answered.toBytes
    void this.#record()
  }

  #pressure(): PressureParts {
    const { plan, launcherPid, container, report, log } = this.#parts
    return {
      plan: plan.memory,
      container: this.#whileItLives(),
      cgroup: this.#cgroup,
      grower: this.#parts.grower(),
      throttle: this.#wire,
      name: plan.name,
      launcherPid,
      ending: container,
      log,
      reschedules: this.#reschedules,
      report,
      stands: (standstill) => void (this.#standstill = standstill),
    }
  }

  /** An answer may come after the end, when another container of that name runs: then only a container that is kept open may still be ended. */
  #whileItLives(): PressedContainer {
    const { container, asked } = this.#parts
    const isEnded = () => this.#isEnded
    return {
      get doing() {
        return isEnded() ? 'gone' : container.doing
      },
      leaves: (doing, signal) => container.leaves(doing, signal),
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

  async #isNearThrottle(): Promise<boolean> {
    const { currentBytes } = await this.#cgroup.usage()
    return currentBytes >= parseLimitBytes(this.#cgroup.throttle()) * roomForCriu
  }
}
