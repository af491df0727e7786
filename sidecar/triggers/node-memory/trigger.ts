/**
 * The node runs out of memory: the kubelet evicts some pod at once, and it may be this one. A checkpoint is taken while there is
 * still time, and the application goes on: only the kubelet knows whom it will choose.
 */
import { readFile } from 'node:fs/promises'
import { Deadline } from '../../../src/deadline.ts'
import type { EventLog } from '../../../src/log.ts'
import { DumpTime } from './dump-time.ts'
import { availableBytes, evictionBytes, isRelieved, judgeNode, parseMeminfo, parseStall, type Eviction, type NodeSample, type NodeVerdict } from './node-memory.ts' // prettier-ignore
import { memoryOf, treeOf } from '../../proc/process-tree.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

/**
 * The kubelet looks every 10 s, and at once where the kernel notifies it of its threshold. Near is where a checkpoint may have to begin soon,
 * or whatever begins to grow is there in seconds.
 */
const [everyMs, everyMsWhenNear] = [3_000, 1_000]
const gibibyte = 1024 ** 3
/** How far back the trend is looked at. */
const samplesKept = 10
const checkpointDeadlineMs = 600_000
/** Under lasting pressure, or one that comes and goes, a new checkpoint is made so often at the most: each dump is itself a burden. */
const againMs = 5 * 60_000
/** One that failed is tried again sooner, so often and after so long. */
const retries = 3
// @deadline A checkpoint for a full node fails | Three retries, each after this pause
const retryMs = 10_000

export type NodeMemoryStatus = {
  availableBytes: number | undefined
  pressed: boolean
  why: string | undefined
}

export type RootOf = (container: string) => number | undefined

export type NodeMemoryOptions = {
  /** 0 for no such kubelet, unless there is a share. */
  evictionBytes: number
  /** Instead of bytes: the share of the node's capacity. */
  evictionPercent?: number | undefined
  /** The root of a container's tree while it runs. */
  rootOf: RootOf
  /** Whether it has just been restored: a checkpoint would take the one that it came from for good, which may be what kills it. */
  isOnTrial: (container: string) => boolean
  /** How long a checkpoint of so many bytes will take. */
  estimateMs: (container: string, bytes: number) => number
  log: EventLog
  /** For tests: where meminfo and pressure/memory are, what a tree holds, and what the time is. */
  proc?: string
  bytesOf?: (root: number) => Promise<number>
  nowMs?: () => number
}

/** From the verdict until the node has memory again. */
type Pressure = {
  atMs: number
  triedAtMs: number
  retriesLeft: number
  failed: ReadonlySet<string>
  /** Those that were on trial when it was their turn: what they came from is in the store. */
  onTrial: ReadonlySet<string>
}

export class NodeMemoryTrigger implements Trigger {
  readonly name = 'node-memory'
  readonly #options: NodeMemoryOptions
  readonly #eviction: Eviction
  readonly #nowMs: () => number
  readonly #dumpTime: DumpTime
  #samples: NodeSample[] = []
  #threshold = 0
  #near = false
  #timer: NodeJS.Timeout | undefined
  #pressure: Pressure | undefined
  /** Nothing is asked for before, since all have a checkpoint that is new enough. */
  #restsUntilMs = 0
  /** Checkpoints of this trigger are being taken. */
  #taking = false
  #why: string | undefined

  constructor(options: NodeMemoryOptions) {
    this.#options = options
    const { evictionPercent, nowMs = () => performance.now() } = options
    this.#eviction = evictionPercent === undefined ? { bytes: options.evictionBytes } : { percent: evictionPercent } // prettier-ignore
    this.#nowMs = nowMs
    this.#dumpTime = new DumpTime(options.estimateMs)
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    if ('bytes' in this.#eviction && this.#eviction.bytes === 0) return
    const look = () =>
      this.look(containers)
        .catch((error) =>
          this.#options.log.warn(
            { event: 'node_memory.unread', err: error },
            'the memory of the node was not looked at',
          ),
        )
        .finally(() => {
          if (this.#timer !== undefined)
            this.#timer = setTimeout(look, this.#near ? everyMsWhenNear : everyMs).unref()
        })
    this.#timer = setTimeout(look, everyMs).unref()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  get status(): NodeMemoryStatus {
    return {
      availableBytes: this.#samples.at(-1)?.availableBytes,
      pressed: this.#pressure !== undefined,
      why: this.#why,
    }
  }

  /** Once; does not wait for the checkpoints that it asks for. */
  async look(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    const sample = await this.#sample()
    this.#samples = [...this.#samples, sample].slice(-samplesKept)
    // Where not even the longest dump would be too late, there is nothing to reckon.
    const mayPress = judgeNode(this.#samples, this.#threshold, checkpointDeadlineMs).press
    this.#near = mayPress || sample.availableBytes < this.#threshold + Math.max(3 * this.#threshold, gibibyte)
    if (this.#pressure === undefined) {
      if (!mayPress || sample.atMs < this.#restsUntilMs) return
      const verdict = await this.#judge(containers)
      if (verdict.press) this.#press(sample, verdict.why, containers)
    } else if (!this.#taking) await this.#goOn(this.#pressure, sample, containers)
  }

  async #goOn(
    pressure: Pressure,
    sample: NodeSample,
    containers: ReadonlyMap<string, Checkpointable>,
  ): Promise<void> {
    if (isRelieved(this.#samples, this.#threshold, await this.#dumpMs(containers))) {
      this.#options.log.info(
        { event: 'node_memory.relieved', availableBytes: sample.availableBytes },
        'the node has memory again',
      )
      this.#pressure = undefined
      if (pressure.failed.size === 0) this.#restsUntilMs = pressure.atMs + againMs
      return
    }
    const { isOnTrial, rootOf } = this.#options
    const again = pressure.retriesLeft > 0 ? [...pressure.failed].filter((name) => !isOnTrial(name)) : []
    const proved = [...pressure.onTrial].filter((name) => !isOnTrial(name) && rootOf(name) !== undefined)
    if (again.length + proved.length > 0 && sample.atMs - pressure.triedAtMs >= retryMs) {
      const retriesLeft = pressure.retriesLeft - (again.length > 0 ? 1 : 0)
      this.#pressure = { ...pressure, triedAtMs: sample.atMs, retriesLeft }
      this.#take([...containers.values()].filter(({ plan }) => [...again, ...proved].includes(plan.name)))
    } else if (sample.atMs - pressure.atMs >= againMs) {
      const verdict = await this.#judge(containers)
      if (verdict.press) this.#press(sample, verdict.why, containers)
    }
  }

  #press({ atMs }: NodeSample, why: string, containers: ReadonlyMap<string, Checkpointable>): void {
    const onTrial = new Set([...containers.keys()].filter((name) => this.#options.isOnTrial(name)))
    this.#pressure = { atMs, triedAtMs: atMs, retriesLeft: retries, failed: new Set(), onTrial }
    this.#why = why
    this.#options.log.warn(
      { event: 'node_memory.pressed', why, ...(onTrial.size === 0 ? {} : { justRestored: [...onTrial] }) },
      'the node runs out of memory: checkpoints are taken before the kubelet evicts',
    )
    this.#take([...containers.values()].filter(({ plan }) => !onTrial.has(plan.name)))
  }

  /** Meanwhile the node is looked at on: what it does during a dump tells whether it is over, and how long the next may take. */
  #take(containers: Checkpointable[]): void {
    this.#taking = true
    void Promise.all(containers.map((container) => this.#checkpoint(container)))
      .then((names) => {
        if (this.#pressure === undefined) return
        const asked = new Set(containers.map(({ plan }) => plan.name))
        const others = (set: ReadonlySet<string>) => [...set].filter((name) => !asked.has(name))
        const failed = new Set([
          ...others(this.#pressure.failed),
          ...names.filter((name) => name !== undefined),
        ])
        const onTrial = new Set(others(this.#pressure.onTrial))
        this.#pressure = { ...this.#pressure, triedAtMs: this.#nowMs(), failed, onTrial }
      })
      .finally(() => (this.#taking = false))
  }

  /** @returns the container's name where there is none */
  async #checkpoint(container: Checkpointable): Promise<string | undefined> {
    const { name } = container.plan
    const detail = await container
      .checkpoint({
        trigger: this.name,
        reason: this.#why ?? '',
        afterwards: 'resume',
        deadline: Deadline.in(checkpointDeadlineMs),
      })
      .then(
        (outcome) => (outcome.outcome === 'failed' ? outcome.detail : undefined),
        (error: unknown) => String(error),
      )
    if (detail === undefined) return undefined
    this.#options.log.error(
      { event: 'node_memory.failed', container: name, detail },
      'no checkpoint was taken before the eviction',
    )
    return name
  }

  async #sample(): Promise<NodeSample> {
    const proc = this.#options.proc ?? '/proc'
    const meminfo = parseMeminfo(await readFile(`${proc}/meminfo`, 'latin1'))
    const stall = parseStall(await readFile(`${proc}/pressure/memory`, 'latin1').catch(() => undefined))
    this.#threshold = evictionBytes(this.#eviction, meminfo)
    return { atMs: this.#nowMs(), availableBytes: availableBytes(meminfo), stall }
  }

  /** By the trees as they are only where what is known of them would press. */
  async #judge(containers: ReadonlyMap<string, Checkpointable>): Promise<NodeVerdict> {
    const verdict = judgeNode(this.#samples, this.#threshold, await this.#dumpMs(containers))
    if (!verdict.press) return verdict
    return judgeNode(this.#samples, this.#threshold, await this.#measure(containers))
  }

  async #dumpMs(containers: ReadonlyMap<string, Checkpointable>): Promise<number> {
    const sample = this.#samples.at(-1)
    const running = [...containers.keys()].filter((name) => this.#options.rootOf(name) !== undefined)
    return (sample && this.#dumpTime.atMostMs(sample, running)) ?? (await this.#measure(containers))
  }

  async #measure(containers: ReadonlyMap<string, Checkpointable>): Promise<number> {
    const { rootOf, bytesOf = async (root) => memoryOf(await treeOf(root)) } = this.#options
    const bytes = new Map<string, number>()
    for (const name of containers.keys()) {
      const root = rootOf(name)
      if (root !== undefined) bytes.set(name, await bytesOf(root))
    }
    return this.#dumpTime.measured(bytes, this.#samples.at(-1))
  }
}
