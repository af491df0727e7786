/**
 * How long checkpoints of all containers would take, without a walk of the process table for each answer. What an application has taken since
 * the last walk the node cannot have had: it is at most by how much less is available now. Pure.
 */
import type { NodeSample } from './node-memory.ts'

/** What one has taken that another has given back meanwhile does not show. */
const validMs = 60_000

type Walk = { atMs: number; availableBytes: number; bytes: ReadonlyMap<string, number> }

export class DumpTime {
  readonly #estimateMs: (container: string, bytes: number) => number
  #walk: Walk | undefined

  /** @param estimateMs how long a checkpoint of so many bytes takes, by what its last ones took */
  constructor(estimateMs: (container: string, bytes: number) => number) {
    this.#estimateMs = estimateMs
  }

  /** By a walk of just now. @param bytes by the container, of those that run */
  measured(bytes: ReadonlyMap<string, number>, sample: NodeSample | undefined): number {
    if (sample !== undefined) this.#walk = { atMs: sample.atMs, availableBytes: sample.availableBytes, bytes }
    return this.#sumMs(bytes, 0)
  }

  /** By the last one; undefined where it is too old to say, or knows nothing of a container that runs. */
  atMostMs({ atMs, availableBytes }: NodeSample, running: readonly string[]): number | undefined {
    const walk = this.#walk
    if (walk === undefined || atMs - walk.atMs > validMs) return undefined
    if (!running.every((name) => walk.bytes.has(name))) return undefined
    return this.#sumMs(walk.bytes, Math.max(0, walk.availableBytes - availableBytes))
  }

  /** All of them at once share what the machine can do. */
  #sumMs(bytes: ReadonlyMap<string, number>, grown: number): number {
    let ms = 0
    for (const [name, held] of bytes) ms += this.#estimateMs(name, held + grown)
    return ms
  }
}
