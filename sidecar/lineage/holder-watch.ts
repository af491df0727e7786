/**
 * Whether the writer of a slot lives, as a waiting pod sees it. An NFS server keeps the lock of a dead node for its lease, or for ever, so a
 * lock that is taken proves nothing. A living writer changes its beat. The waiting pod compares what it reads with what it read before, by its
 * own clock: the clocks of nodes and file servers differ.
 */
import type { EpochState } from '../../src/store/epochs.ts'

export const beatMs = 10_000
/** Four beats, and some time for a disk that is busy. */
// @deadline The pod that has the lineage shows no sign of life | The waiting pod takes the lineage over
export const silentMs = 45_000
/** The writer left, and the lock outlives it; or it has the lock, and is about to take its epoch. */
const leftMs = 5_000

/** `unsure`: it has not been watched for long enough. */
export type Judgement = 'alive' | 'unsure' | 'gone'

export class HolderWatch {
  readonly #silentMs: number
  #seen: { state: string; sinceMs: number; changed: boolean } | undefined

  constructor(silenceMs = silentMs) {
    this.#silentMs = silenceMs
  }

  look({ gate, beat }: EpochState, nowMs: number): Judgement {
    const state = `${gate} ${beat}`
    if (this.#seen?.state !== state)
      this.#seen = { state, sinceMs: nowMs, changed: this.#seen !== undefined && beat !== undefined }
    const unchangedMs = nowMs - this.#seen.sinceMs
    if (unchangedMs >= (beat === undefined ? Math.min(leftMs, this.#silentMs) : this.#silentMs)) return 'gone'
    return this.#seen.changed ? 'alive' : 'unsure'
  }
}
