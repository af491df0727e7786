/**
 * The node runs out of memory: the kubelet evicts some pod at once, and it may be this one. A checkpoint is taken while there is
 * still time, and the application goes on: only the kubelet knows whom it will choose.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Log } from '../../src/log.ts'
import { availableBytes, isRelieved, judgeNode, parseMeminfo, parseStall, type NodeSample } from '../memory/node-memory.ts' // prettier-ignore
import { memoryOf, treeOf } from '../process-tree.ts'
import type { Checkpointable, Trigger } from './trigger.ts'

/** The kubelet looks every 10 s, and at once where the kernel notifies it of its threshold; while there is plenty, so often is enough. */
const [everyMs, everyMsWhenNear] = [3_000, 1_000]
/** How far back the trend is looked at. */
const samplesKept = 10
const checkpointDeadlineMs = 600_000
/** Under lasting pressure a new checkpoint is made so often at the most: each dump is itself a burden. */
const againMs = 5 * 60_000

export type NodeMemoryStatus = {
  availableBytes: number | undefined
  pressed: boolean
  why: string | undefined
}

export type RootOf = (container: string) => number | undefined

export type NodeMemoryOptions = {
  /** 0 for no such kubelet. */
  evictionBytes: number
  /** The root of a container's tree while it runs. */
  rootOf: RootOf
  /** How long a checkpoint of so many bytes will take. */
  estimateMs: (container: string, bytes: number) => number
  log: Log
  /** Where /proc/meminfo and /proc/pressure/memory are, for tests. */
  proc?: string
}

export class NodeMemoryTrigger implements Trigger {
  readonly name = 'node-memory'
  readonly #options: NodeMemoryOptions
  // As the runtime shows every container its own cgroup.
  readonly #version = existsSync('/sys/fs/cgroup/cgroup.controllers') ? 2 : 1
  #samples: NodeSample[] = []
  #timer: NodeJS.Timeout | undefined
  #pressedAt: number | undefined
  #why: string | undefined

  constructor(options: NodeMemoryOptions) {
    this.#options = options
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    if (this.#options.evictionBytes === 0) return
    const look = () =>
      this.#look(containers)
        .catch((error) => this.#options.log.warn({ err: error }, 'the memory of the node was not looked at'))
        .finally(() => {
          if (this.#timer !== undefined)
            this.#timer = setTimeout(look, this.#isNear() ? everyMsWhenNear : everyMs).unref()
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
      pressed: this.#pressedAt !== undefined,
      why: this.#why,
    }
  }

  async #look(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    const { evictionBytes, log } = this.#options
    const sample = await this.#sample()
    this.#samples = [...this.#samples, sample].slice(-samplesKept)
    // Walking the process table is for when it may matter.
    if (!this.#isNear() && this.#pressedAt === undefined) return
    const dumpMs = await this.#estimateMs(containers)
    if (this.#pressedAt !== undefined) {
      if (isRelieved(this.#samples, evictionBytes, dumpMs)) {
        log.info({ availableBytes: sample.availableBytes }, 'the node has memory again')
        this.#pressedAt = undefined
        return
      }
      if (sample.atMs - this.#pressedAt < againMs) return
    }
    const verdict = judgeNode(this.#samples, evictionBytes, dumpMs)
    if (!verdict.press) return
    this.#pressedAt = sample.atMs
    this.#why = verdict.why
    log.warn(
      { why: verdict.why },
      'the node runs out of memory: checkpoints are taken before the kubelet evicts',
    )
    await Promise.all([...containers.values()].map((container) => this.#checkpoint(container, verdict.why)))
  }

  /** With four times the threshold and a gibibyte at hand nothing is so fast, and no dump so slow. */
  #isNear(): boolean {
    const { evictionBytes } = this.#options
    const available = this.#samples.at(-1)?.availableBytes ?? 0
    return available < Math.max(4 * evictionBytes, evictionBytes + 1024 ** 3)
  }

  async #checkpoint(container: Checkpointable, reason: string): Promise<void> {
    const outcome = await container.checkpoint({
      trigger: this.name,
      reason,
      afterwards: 'resume',
      deadline: Date.now() + checkpointDeadlineMs,
    })
    if (outcome.outcome === 'failed')
      this.#options.log.error(
        { container: container.plan.name, detail: outcome.detail },
        'no checkpoint was taken before the eviction',
      )
  }

  async #sample(): Promise<NodeSample> {
    const proc = this.#options.proc ?? '/proc'
    const meminfo = parseMeminfo(await readFile(`${proc}/meminfo`, 'latin1'))
    const stall = parseStall(await readFile(`${proc}/pressure/memory`, 'latin1').catch(() => undefined))
    return { atMs: performance.now(), availableBytes: availableBytes(meminfo, this.#version), stall }
  }

  /** All of them at once share what the machine can do. */
  async #estimateMs(containers: ReadonlyMap<string, Checkpointable>): Promise<number> {
    let ms = 0
    for (const name of containers.keys()) {
      const root = this.#options.rootOf(name)
      if (root !== undefined) ms += this.#options.estimateMs(name, await memoryOf(await treeOf(root)))
    }
    return ms
  }
}
