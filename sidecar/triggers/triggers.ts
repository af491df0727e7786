/** The triggers that the plan names, built in one place from the pod's containers. The pod's end is always heeded. */
import { usualMaxFreezeMs } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import type { Containers } from '../container/containers.ts'
import type { Trigger } from '../container/trigger.ts'
import type { PodEvents } from '../setup/pod-events.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { peerPidsOf } from '../launcher-socket/peer-pids.ts'
import { AgentLine } from './agent/agent-line.ts'
import { CloudWatcher } from './clouds/cloud-watcher.ts'
import { cloudsOf } from './clouds/clouds.ts'
import { IntervalTrigger } from './interval/trigger.ts'
import { ManualTrigger } from './manual/trigger.ts'
import type { MemoryEvent } from './memory/memory-event.ts'
import { MemoryTrigger } from './memory/trigger.ts'
import { NodeMemoryTrigger } from './node-memory/trigger.ts'
import type { Hear } from './notices/notice.ts'
import { NoticeFolder } from './notices/notice-folder.ts'
import { SourceBook } from './notices/source-book.ts'
import { NoticeTrigger } from './notices/trigger.ts'
import { PrestopTrigger } from './prestop/trigger.ts'

/** What a checkpoint answers is told as that. The same outcome again is counted. */
function tellMemory(events: PodEvents, container: string, { reason, message }: MemoryEvent): void {
  if (reason === 'MemoryCheckpointed' || reason === 'MemoryEnded') return
  events.tell({ reason, container, code: reason, detail: message })
}

export class Triggers {
  readonly prestop: PrestopTrigger
  readonly sources = new SourceBook()
  readonly #containers: Containers
  readonly #notices: NoticeTrigger
  readonly #interval: IntervalTrigger | undefined
  readonly #memory: MemoryTrigger
  readonly #nodeMemory: NodeMemoryTrigger
  readonly #all: readonly Trigger[]
  readonly #clouds: CloudWatcher
  readonly #isCloudAsked: boolean
  readonly #folder: NoticeFolder | undefined
  readonly #agent: AgentLine

  constructor({ podPlan, identity, made, events, log }: Surroundings, containers: Containers) {
    const { triggers: wanted, interval } = podPlan
    const { ledger } = containers
    const book = this.sources
    this.#containers = containers
    this.prestop = new PrestopTrigger(log)
    const manual = wanted.includes('manual') ? new ManualTrigger(volumePaths.control, log) : undefined
    const vitals = (name: string) => containers.vitals(name)
    this.#notices = new NoticeTrigger({
      book,
      ledger,
      vitals,
      endKeptOpen: (name) => containers.endKeptOpen(name),
      log,
    })
    this.#interval =
      wanted.includes('interval') && interval !== 'off'
        ? new IntervalTrigger({
            interval,
            meanTimeBetweenFailuresMs: podPlan.meanTimeBetweenFailuresMs,
            lineage: podPlan.lineage,
            ledger,
            vitals: (name) => containers.vitalsToSave(name),
            freezeMs: (name, bytes) => containers.freezeMs(name, bytes),
            maxFreezeMs: podPlan.maxFreezeMs ?? usualMaxFreezeMs,
            log,
          })
        : undefined
    const hear: Hear = (source, notices) => this.#notices.hear(source, notices)
    this.#agent = new AgentLine({
      path: volumePaths.agent,
      podUid: identity.uid,
      version: made.reprieve,
      hear: wanted.includes('disruption') ? hear : () => undefined,
      book,
      events,
      peerPidsOf: (sockets) => peerPidsOf(sockets, log),
      log,
    })
    const isMemoryWatched = wanted.includes('memory')
    this.#memory = new MemoryTrigger(isMemoryWatched ? containers.keepers.values() : [], this.#agent, log)
    this.#memory.listen((container, event) => tellMemory(events, container, event))
    this.#nodeMemory = new NodeMemoryTrigger({
      evictionBytes: isMemoryWatched ? podPlan.nodeEvictionBytes : 0,
      evictionPercent: isMemoryWatched ? podPlan.nodeEvictionPercent : undefined,
      rootOf: (name) => containers.rootOf(name),
      isOnTrial: (name) => containers.isOnTrial(name),
      estimateMs: (name, bytes) => containers.estimateMs(name, bytes),
      log,
    })
    const all = [this.prestop, manual, this.#notices, this.#interval, this.#memory, this.#nodeMemory]
    this.#all = all.filter((trigger) => trigger !== undefined)
    const clouds = wanted.includes('spot') ? cloudsOf(podPlan.cloud) : []
    this.#isCloudAsked = clouds.length > 0
    this.#clouds = new CloudWatcher(clouds, hear, book, log)
    this.#folder =
      manual && new NoticeFolder({ path: volumePaths.notices, containers: containers.names, hear, book, log })
  }

  /** Whoever may ask for a checkpoint here. */
  get names(): string[] {
    return this.#all.map((trigger) => trigger.name)
  }

  async start(): Promise<void> {
    for (const [name, keeper] of this.#containers.keepers)
      keeper.observe(({ at }) => void (at === 'kept-open' || this.#notices.released(name)))
    for (const trigger of this.#all) await trigger.start(this.#containers.asked)
    if (this.#isCloudAsked) this.#clouds.start()
    await this.#folder?.start()
    await this.#agent.start()
  }

  async stop(): Promise<void> {
    await this.#agent.stop()
    await Promise.all(this.#all.map((trigger) => trigger.stop()))
  }

  get status(): Record<string, unknown> {
    return {
      agent: this.#agent.status,
      cloud: this.#clouds.found,
      sources: this.sources.states,
      notices: this.#notices.status,
      interval: this.#interval?.status,
      memory: this.#memory.status,
      nodeMemory: this.#nodeMemory.status,
    }
  }
}
