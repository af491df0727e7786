/** The memory of each application fills up. Its watch (../memory/memory-watch.ts) lives as long as its launcher, and is begun here. */
import type { EventLog } from '../../../src/log.ts'
import type { ContainerPlan } from '../../../src/pod-plan.ts'
import type { ContainerState } from '../../container/state.ts'
import { MemoryWatch, type MemoryWatchPlaces } from './memory-watch.ts'
import type { Answered, PressedContainer } from './remedies.ts'
import { eventOf, type MemoryEvent } from './memory-event.ts'
import type { EndedContainer } from './pending-end.ts'
import { SocketGrower, type CalledGrower } from './resource-grower.ts'
import type { TripwireState } from './tripwire.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

export type WatchedContainer = PressedContainer &
  EndedContainer & {
    readonly plan: ContainerPlan
    /** Its memory has room again. */
    relieved(): void
    /** Calls back with each new state. */
    observe(changed: (state: ContainerState) => void): void
    /** Calls back whenever CRIU has stopped every task, for whichever checkpoint. */
    whenStopped(stopped: () => Promise<void>): void
    /** Calls back just before CRIU resumes an application. */
    whenResuming(resuming: () => void): void
  }

export type MemoryStatus = {
  container: string
  watch: TripwireState | 'unwatched'
  lastAnswer: Answered | undefined
  /** The outcome in words, for an event of the API. */
  event: MemoryEvent | undefined
}

/** Before each further try of a watch that could not be begun: the throttle of an earlier sidecar may be set without a watch. */
const [firstRetryMs, lastRetryMs] = [1_000, 60_000]

export class MemoryTrigger implements Trigger {
  readonly name = 'memory'
  readonly #containers: readonly WatchedContainer[]
  readonly #agent: CalledGrower | undefined
  readonly #log: EventLog
  #asked: ReadonlyMap<string, Checkpointable> = new Map()
  readonly #watches = new Map<string, MemoryWatch>()
  readonly #answers = new Map<string, Answered>()
  /** The launcher whose container's memory is to be watched. */
  readonly #wanted = new Map<string, number>()
  /** One after the other for each container: a launcher may end while the watch of it is being set up. */
  readonly #turns = new Map<string, Promise<void>>()
  readonly #places: MemoryWatchPlaces | undefined
  #told: (container: string, event: MemoryEvent) => void = () => undefined

  /**
   * @param agent resizes the pod where the plan names no socket for it
   * @param places for tests
   */
  constructor(
    containers: Iterable<WatchedContainer>,
    agent: CalledGrower | undefined,
    log: EventLog,
    places?: MemoryWatchPlaces,
  ) {
    this.#containers = [...containers]
    this.#agent = agent
    this.#log = log
    this.#places = places
  }

  /** Calls back with each answer to a full memory. */
  listen(told: (container: string, event: MemoryEvent) => void): void {
    this.#told = told
  }

  /** @param asked by which checkpoints are asked for */
  async start(asked: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#asked = asked
    for (const container of this.#containers) {
      container.observe((state) => this.#follow(container, state))
      container.whenStopped(async () => this.#watches.get(container.plan.name)?.stopped())
      container.whenResuming(() => this.#watches.get(container.plan.name)?.resuming())
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
        watch: this.#watches.get(name)?.state ?? 'unwatched',
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
      this.#log.warn(
        { event: 'memory.unwatched', err: error, container: name },
        'the memory of a container is not watched',
      )
    })
    this.#turns.set(name, turn)
  }

  async #begin(container: WatchedContainer, launcherPid: number): Promise<void> {
    const { plan } = container
    const { resizeSocket } = plan.memory
    const named = resizeSocket === undefined ? undefined : new SocketGrower(resizeSocket)
    const watch = await MemoryWatch.open(
      {
        plan,
        launcherPid,
        container,
        asked: this.#asked.get(plan.name) ?? container,
        report: (answered) => this.#answered(plan.name, answered),
        relieved: () => container.relieved(),
        grower: () => named ?? (this.#agent?.isOpen === true ? this.#agent : undefined),
        log: this.#log.child({ container: plan.name }),
      },
      this.#places,
    )
    this.#watches.set(plan.name, watch)
    await watch.begin()
  }

  #answered(name: string, answered: Answered): void {
    this.#answers.set(name, answered)
    this.#told(name, eventOf(answered))
  }

  async #end(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    this.#watches.delete(name)
    await watch?.end()
  }
}
