/** The memory of each application fills up. A watch lives as long as its launcher; what it does about it is in ../memory. */
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import type { ContainerState } from '../container-state.ts'
import { frozenMarkOf, thawMarked } from '../memory/left-frozen.ts'
import { cgroupMount, MemoryCgroup } from '../memory/memory-cgroup.ts'
import { PolledUsage } from '../memory/polled-usage.ts'
import { answerCrossing, growLate, look } from '../memory/pressure.ts'
import type { Answered, PressedContainer, PressureParts } from '../memory/remedies.ts'
import type { EndedContainer } from '../memory/told-to-end.ts'
import { SocketGrower } from '../memory/resource-grower.ts'
import { thaw, type Standstill } from '../memory/standstill.ts'
import { eventOf, type MemoryEvent } from '../memory/told.ts'
import { Tripwire, type Crossing } from '../memory/tripwire.ts'
import { parseLimitBytes } from '../memory/usage.ts'
import { lifeOf } from '../process-tree.ts'
import type { Checkpointable, Trigger } from './trigger.ts'

export type WatchedContainer = PressedContainer &
  EndedContainer & {
    readonly plan: ContainerPlan
    /** Its memory has room again. */
    relieved(): void
    /** Calls back with each new state. */
    observe(changed: (state: ContainerState) => void): void
    /** Calls back whenever CRIU holds every task, for whichever checkpoint. */
    whenHeld(held: () => Promise<void>): void
    /** Calls back just before CRIU lets go of an application that goes on. */
    whenGoingOn(goingOn: () => void): void
  }

export type MemoryStatus = {
  container: string
  watch: 'armed' | 'let-go' | 'no-limit' | 'stopped' | 'unwatched'
  lastAnswer: Answered | undefined
  /** What came of it in words: the text of the event that the hub will post. */
  event: MemoryEvent | undefined
}

/** Before each further try of a watch that could not be begun: an earlier life's brake may hold with nobody behind it. */
const [firstRetryMs, lastRetryMs] = [1_000, 60_000]

/** How often more memory is asked for again for what was let go for want of it. */
const askAgainMs = 60_000
/** CRIU's instructions in the application need some room below the brake. */
const roomForCriu = 0.95

type Watch = {
  launcherPid: number
  wire: Tripwire | PolledUsage
  cgroup: MemoryCgroup
  /** While a crossing is being answered. */
  standstill: Standstill | undefined
  /** A crossing is being answered; that may take as long as a checkpoint is being stored. */
  isAnswering: boolean
  isAskingAgain: boolean
  /** The brake was let go for as long as CRIU holds the application. */
  owesBrake: boolean
  askingAgain: NodeJS.Timeout
}

export class MemoryTrigger implements Trigger {
  readonly name = 'memory'
  readonly #containers: readonly WatchedContainer[]
  readonly #log: Log
  #asked: ReadonlyMap<string, Checkpointable> = new Map()
  readonly #watches = new Map<string, Watch>()
  readonly #answers = new Map<string, Answered>()
  /** The launcher whose container's memory is to be watched. */
  readonly #wanted = new Map<string, number>()
  /** One after the other for each container: a launcher may end while the watch of it is being set up. */
  readonly #turns = new Map<string, Promise<void>>()

  readonly #run: string
  readonly #open: typeof MemoryCgroup.open
  readonly #askAgainMs: number

  /** @param places for tests */
  constructor(
    containers: Iterable<WatchedContainer>,
    log: Log,
    places: { run?: string; open?: typeof MemoryCgroup.open; askAgainMs?: number } = {},
  ) {
    this.#containers = [...containers]
    this.#log = log
    this.#run = places.run ?? volumePaths.run
    this.#open = places.open ?? MemoryCgroup.open
    this.#askAgainMs = places.askAgainMs ?? askAgainMs
  }

  /** @param asked by which checkpoints are asked for */
  async start(asked: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#asked = asked
    for (const container of this.#containers) {
      container.observe((state) => this.#follow(container, state))
      container.whenHeld(() => this.#held(container.plan.name))
      container.whenGoingOn(() => this.#goesOn(container.plan.name))
    }
  }

  async stop(): Promise<void> {
    this.#wanted.clear()
    for (const container of this.#containers)
      this.#inTurn(container.plan.name, () => this.#end(container.plan.name))
    await Promise.all(this.#turns.values())
  }

  get status(): MemoryStatus[] {
    return this.#containers.map(({ plan: { name } }) => {
      const lastAnswer = this.#answers.get(name)
      return {
        container: name,
        watch: this.#watches.get(name)?.wire.state ?? 'unwatched',
        lastAnswer,
        event: lastAnswer === undefined ? undefined : eventOf(lastAnswer),
      }
    })
  }

  #follow(container: WatchedContainer, state: ContainerState): void {
    const { name } = container.plan
    if (state.at === 'running') {
      if (this.#wanted.get(name) === state.launcherPid) return
      this.#wanted.set(name, state.launcherPid)
      this.#watch(container, state.launcherPid, firstRetryMs)
    } else if (state.at !== 'checkpointing') {
      this.#wanted.delete(name)
      this.#inTurn(name, () => this.#end(name))
    }
  }

  #watch(container: WatchedContainer, launcherPid: number, retryMs: number): void {
    const { name } = container.plan
    this.#inTurn(name, async () => {
      const isWatched = this.#watches.get(name)?.launcherPid === launcherPid
      if (this.#wanted.get(name) !== launcherPid || isWatched) return
      await this.#end(name)
      try {
        await this.#begin(container, launcherPid)
      } catch (error) {
        await this.#end(name)
        const again = () => this.#watch(container, launcherPid, Math.min(2 * retryMs, lastRetryMs))
        setTimeout(again, retryMs).unref()
        throw error
      }
    })
  }

  #inTurn(name: string, work: () => Promise<void>): void {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work).catch((error) => {
      this.#log.warn({ err: error, container: name }, 'the memory of a container is not watched')
    })
    this.#turns.set(name, turn)
  }

  async #begin(container: WatchedContainer, launcherPid: number): Promise<void> {
    const { name, memory } = container.plan
    const log = this.#log.child({ container: name })
    const cgroup = await this.#open(launcherPid, cgroupMount(name), log)
    thawMarked({ cgroup, frozenMark: this.#frozenMark(name), launcherPid, log })
    const pressed: PressedContainer = {
      get doing() {
        return container.doing
      },
      podUid: container.podUid,
      get isOnTrial() {
        return container.isOnTrial
      },
      fillsAgain: () => container.fillsAgain(),
      checkpoint: (request) => (this.#asked.get(name) ?? container).checkpoint(request),
      recordedNeed: () => container.recordedNeed(),
      recordNeed: (bytes) => container.recordNeed(bytes),
      leave: (code) => container.leave(code),
    }
    const reschedules = { failed: 0 }
    const parts = (): PressureParts => ({
      plan: memory,
      container: pressed,
      cgroup,
      grower: memory.resizeSocket === undefined ? undefined : new SocketGrower(memory.resizeSocket),
      brake: wire,
      frozenMark: this.#frozenMark(name),
      name,
      launcherPid,
      ending: container,
      log,
      reschedules,
      told: (answered) => void this.#answers.set(name, answered),
      stands: (standstill) => void (watch.standstill = standstill),
    })
    const note = (answered: Answered | undefined) => {
      if (answered !== undefined) this.#answers.set(name, answered)
    }
    const crossed = async (crossing: Crossing) => {
      // CRIU's own instructions have come to the brake.
      if (container.doing === 'stopped') return this.#held(name)
      watch.isAnswering = true
      try {
        note(await answerCrossing(parts(), crossing))
      } finally {
        watch.isAnswering = false
        watch.standstill = undefined
      }
    }
    const askAgain = async () => {
      const isBusy = watch.isAskingAgain || (watch.isAnswering && container.doing !== 'being-saved')
      // Given more while its checkpoint is being stored, it may have filled that as well: nobody hears of a crossing until it is stored.
      const isUnheard = wire.state === 'armed' && watch.isAnswering
      if ((wire.state !== 'let-go' && !isUnheard) || isBusy) return
      watch.isAskingAgain = true
      try {
        const answered = await growLate(parts())
        note(answered)
        if (isUnheard && answered === undefined && (await look(parts())).isPressure) await wire.letGo()
      } catch (error) {
        log.debug({ err: error }, 'more memory could not be asked for again')
      } finally {
        watch.isAskingAgain = false
      }
    }
    const relieved = () => container.relieved()
    const options = { cgroup, percent: memory.thresholdPercent, crossed, relieved, log }
    const wire =
      cgroup.version === 2
        ? new Tripwire({ ...options, recordFile: `${this.#run}/${name}/brake-${lifeOf(launcherPid)}` })
        : new PolledUsage(options)
    const watch: Watch = {
      launcherPid,
      wire,
      cgroup,
      standstill: undefined,
      isAnswering: false,
      isAskingAgain: false,
      owesBrake: false,
      askingAgain: setInterval(() => void askAgain(), this.#askAgainMs).unref(),
    }
    this.#watches.set(name, watch)
    await wire.start()
    log.info(
      { version: cgroup.version, watch: wire.state, percent: memory.thresholdPercent },
      'the memory is watched',
    )
  }

  /**
   * CRIU waits for its own instructions in the application, which are neither to be frozen nor held by the brake: a checkpoint may be asked for
   * just when a crossing is being answered, or a crossing come just when one was asked for.
   */
  async #held(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    if (watch === undefined || watch.cgroup.version !== 2) return
    const { wire, cgroup, standstill } = watch
    const isFrozen = cgroup.isFrozen()
    try {
      if (wire.state === 'armed' && (isFrozen || (await isNearBrake(cgroup)))) {
        watch.owesBrake = true
        await wire.letGo()
      }
    } finally {
      standstill?.interrupt()
      if (isFrozen) thaw({ cgroup, frozenMark: this.#frozenMark(name), log: this.#log })
    }
  }

  /** Before it runs, so that it cannot fill what it has left while nothing holds it. */
  #goesOn(name: string): void {
    const watch = this.#watches.get(name)
    watch?.standstill?.again()
    if (watch?.owesBrake !== true) return
    watch.owesBrake = false
    if (watch.wire.state !== 'let-go') return
    watch.wire.arm().catch((error: unknown) => {
      this.#log.warn({ err: error, container: name }, 'the brake could not be set anew')
    })
  }

  async #end(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    this.#watches.delete(name)
    clearInterval(watch?.askingAgain)
    // A cgroup goes with its container.
    await watch?.wire.stop().catch(() => undefined)
  }

  #frozenMark(container: string): string {
    return frozenMarkOf(container, this.#run)
  }
}

async function isNearBrake(cgroup: MemoryCgroup): Promise<boolean> {
  const { currentBytes } = await cgroup.usage()
  return currentBytes >= parseLimitBytes(cgroup.brake()) * roomForCriu
}
