/** The memory of each application fills up. A watch lives as long as its launcher; what it does about it is in ../memory. */
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import type { ContainerState } from '../container-state.ts'
import { frozenMarkOf, thawMarked } from '../memory/left-frozen.ts'
import { cgroupMount, MemoryCgroup } from '../memory/memory-cgroup.ts'
import { PolledUsage } from '../memory/polled-usage.ts'
import { answerCrossing, type Answered, type PressedContainer } from '../memory/pressure.ts'
import type { EndedContainer } from '../memory/told-to-end.ts'
import { SocketGrower } from '../memory/resource-grower.ts'
import { thaw } from '../memory/standstill.ts'
import { Tripwire } from '../memory/tripwire.ts'
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
  }

export type MemoryStatus = {
  container: string
  watch: 'armed' | 'let-go' | 'no-limit' | 'stopped' | 'unwatched'
  lastAnswer: Answered | undefined
}

/** Before each further try of a watch that could not be begun: an earlier life's brake may hold with nobody behind it. */
const [firstRetryMs, lastRetryMs] = [1_000, 60_000]

type Watch = { launcherPid: number; wire: Tripwire | PolledUsage; cgroup: MemoryCgroup }

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

  /** @param places for tests */
  constructor(
    containers: Iterable<WatchedContainer>,
    log: Log,
    places: { run?: string; open?: typeof MemoryCgroup.open } = {},
  ) {
    this.#containers = [...containers]
    this.#log = log
    this.#run = places.run ?? volumePaths.run
    this.#open = places.open ?? MemoryCgroup.open
  }

  /** @param asked by which checkpoints are asked for */
  async start(asked: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#asked = asked
    for (const container of this.#containers) {
      container.observe((state) => this.#follow(container, state))
      container.whenHeld(() => this.#letGo(container.plan.name))
    }
  }

  async stop(): Promise<void> {
    this.#wanted.clear()
    for (const container of this.#containers)
      this.#inTurn(container.plan.name, () => this.#end(container.plan.name))
    await Promise.all(this.#turns.values())
  }

  get status(): MemoryStatus[] {
    return this.#containers.map(({ plan: { name } }) => ({
      container: name,
      watch: this.#watches.get(name)?.wire.state ?? 'unwatched',
      lastAnswer: this.#answers.get(name),
    }))
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
        this.#watches.delete(name)
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
      isRunning: () => container.isRunning(),
      get isOnTrial() {
        return container.isOnTrial
      },
      fillsAgain: () => container.fillsAgain(),
      checkpoint: (request) => (this.#asked.get(name) ?? container).checkpoint(request),
      recordedNeed: () => container.recordedNeed(),
      recordNeed: (bytes) => container.recordNeed(bytes),
      leave: (code) => container.leave(code),
    }
    const crossed = async (crossing: Parameters<typeof answerCrossing>[1]) => {
      const answered = await answerCrossing(
        {
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
          told: (answered) => void this.#answers.set(name, answered),
        },
        crossing,
      )
      if (answered !== undefined) this.#answers.set(name, answered)
    }
    const relieved = () => container.relieved()
    const options = { cgroup, percent: memory.thresholdPercent, crossed, relieved, log }
    const wire =
      cgroup.version === 2
        ? new Tripwire({ ...options, recordFile: `${this.#run}/${name}/brake-${lifeOf(launcherPid)}` })
        : new PolledUsage(options)
    this.#watches.set(name, { launcherPid, wire, cgroup })
    await wire.start()
    log.info(
      { version: cgroup.version, watch: wire.state, percent: memory.thresholdPercent },
      'the memory is watched',
    )
  }

  /** The pod's end may ask for a checkpoint just when a crossing is being answered: CRIU must not wait for that answer. */
  async #letGo(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    if (watch === undefined || !watch.cgroup.isFrozen()) return
    try {
      await watch.wire.letGo()
    } finally {
      thaw({ cgroup: watch.cgroup, frozenMark: this.#frozenMark(name), log: this.#log })
    }
  }

  async #end(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    this.#watches.delete(name)
    // A cgroup goes with its container.
    await watch?.wire.stop().catch(() => undefined)
  }

  #frozenMark(container: string): string {
    return frozenMarkOf(container, this.#run)
  }
}
