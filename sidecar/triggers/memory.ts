/** The memory of each application fills up. A watch lives as long as its launcher; what it does about it is in ../memory. */
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import type { ContainerState } from '../container-state.ts'
import { cgroupMount, MemoryCgroup } from '../memory/memory-cgroup.ts'
import { PolledUsage } from '../memory/polled-usage.ts'
import { answerCrossing, thawLeftFrozen, type Answered, type PressedContainer } from '../memory/pressure.ts'
import { SocketGrower } from '../memory/resource-grower.ts'
import { Tripwire } from '../memory/tripwire.ts'
import type { Checkpointable, Trigger } from './trigger.ts'

export type WatchedContainer = PressedContainer & {
  readonly plan: ContainerPlan
  /** Calls back with each new state. */
  observe(changed: (state: ContainerState) => void): void
}

export type MemoryStatus = {
  container: string
  watch: 'armed' | 'let-go' | 'no-limit' | 'stopped' | 'unwatched'
  lastAnswer: Answered | undefined
}

type Watch = { launcherPid: number; wire: Tripwire | PolledUsage }

export class MemoryTrigger implements Trigger {
  readonly name = 'memory'
  readonly #containers: readonly WatchedContainer[]
  readonly #log: Log
  #asked: ReadonlyMap<string, Checkpointable> = new Map()
  readonly #watches = new Map<string, Watch>()
  readonly #answers = new Map<string, Answered>()
  /** One after the other for each container: a launcher may end while the watch of it is being set up. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor(containers: Iterable<WatchedContainer>, log: Log) {
    this.#containers = [...containers]
    this.#log = log
  }

  /** @param asked by which checkpoints are asked for */
  async start(asked: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#asked = asked
    for (const container of this.#containers) {
      await this.#thawLeftFrozen(container)
      container.observe((state) => this.#follow(container, state))
    }
  }

  async stop(): Promise<void> {
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

  async #thawLeftFrozen({ plan: { name } }: WatchedContainer): Promise<void> {
    const log = this.#log.child({ container: name })
    await thawLeftFrozen(frozenMark(name), cgroupMount(name), log)
  }

  #follow(container: WatchedContainer, state: ContainerState): void {
    const { name } = container.plan
    if (state.at === 'running')
      this.#inTurn(name, async () => {
        if (this.#watches.get(name)?.launcherPid === state.launcherPid) return
        await this.#end(name)
        await this.#begin(container, state.launcherPid)
      })
    else if (state.at !== 'checkpointing') this.#inTurn(name, () => this.#end(name))
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
    const cgroup = await MemoryCgroup.open(launcherPid, cgroupMount(name), log)
    const pressed: PressedContainer = {
      isRunning: () => container.isRunning(),
      get isOnTrial() {
        return container.isOnTrial
      },
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
          frozenMark: frozenMark(name),
          name,
          launcherPid,
          log,
        },
        crossing,
      )
      if (answered !== undefined) this.#answers.set(name, answered)
    }
    const options = { cgroup, percent: memory.thresholdPercent, crossed, log }
    const wire =
      cgroup.version === 2
        ? new Tripwire({ ...options, recordFile: `${volumePaths.run}/${name}/brake-${launcherPid}` })
        : new PolledUsage(options)
    this.#watches.set(name, { launcherPid, wire })
    await wire.start()
    log.info(
      { version: cgroup.version, watch: wire.state, percent: memory.thresholdPercent },
      'the memory is watched',
    )
  }

  async #end(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    this.#watches.delete(name)
    // A cgroup goes with its container.
    await watch?.wire.stop().catch(() => undefined)
  }
}

function frozenMark(container: string): string {
  return `${volumePaths.run}/${container}/frozen`
}
