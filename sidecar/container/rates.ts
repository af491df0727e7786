/** How long a checkpoint of a container will take, from what its last ones took. Pure. */
import type { Measured } from './ledger.ts'

export type Took = {
  /** Until everything stands still; until the dump and the archive are made; until all is in the store. */
  startMs: number
  dumpMs: number
  storeMs: number
  /** Of all files of the checkpoint that took so long. */
  bytes: number
  /** What the application held then: what it holds now is compared with that, since the rest of the files need not have grown. */
  memoryBytes: number
  /** False: nothing was measured yet. */
  measured: boolean
}

/** For what was not measured: half of what a page cache takes, and a network file system of a gigabit. Neither promise nor hope. */
export const assumed = { startMs: 500, dumpBytesPerMs: 1_000_000, storeBytesPerMs: 100_000 } as const

/** By the slowest of those that were measured: a plan that is too bold loses all, one that is too careful a little. */
export function tookMost(measured: readonly Measured[]): Took {
  if (measured.length === 0)
    return { startMs: assumed.startMs, dumpMs: 0, storeMs: 0, bytes: 0, memoryBytes: 0, measured: false }
  const times = measured.map(timesOf)
  return {
    startMs: Math.max(...times.map(({ startMs }) => startMs)),
    dumpMs: Math.max(...times.map(({ dumpMs }) => dumpMs)),
    storeMs: Math.max(...times.map(({ storeMs }) => storeMs)),
    bytes: Math.min(...times.map(({ bytes }) => bytes)),
    memoryBytes: Math.min(...times.map(({ memoryBytes }) => memoryBytes)),
    measured: true,
  }
}

/**
 * And of one that has grown since: the growth at the measured rate or the assumed one, whichever is faster, since of a small
 * checkpoint most is the same for every size.
 *
 * @param memoryBytes that the application holds now
 */
export function estimate(
  took: Took,
  memoryBytes: number,
): { startMs: number; dumpMs: number; storeMs: number } {
  const growth = Math.max(0, memoryBytes - took.memoryBytes)
  const more = (bytes: number, ms: number, rate: number) => growth / Math.max(bytes / Math.max(ms, 1), rate)
  return {
    startMs: took.startMs,
    // While it stands still the files are archived beside the dump: that they were many says nothing of how fast memory is written.
    dumpMs: took.dumpMs + more(took.memoryBytes, took.dumpMs, assumed.dumpBytesPerMs),
    storeMs: took.storeMs + more(took.bytes, took.storeMs, assumed.storeBytesPerMs),
  }
}

/** The archive is made beside the dump; what is left of the whole is storing, whether the application stood still for it or not. */
function timesOf({ phases, bytes, memoryBytes = bytes }: Measured): Omit<Took, 'measured'> {
  const { startMs = 0, dumpMs = 0, archiveMs = 0, totalMs = 0 } = phases
  const stillMs = Math.max(dumpMs, archiveMs)
  return { startMs, dumpMs: stillMs, storeMs: Math.max(totalMs - startMs - stillMs, 0), bytes, memoryBytes } // prettier-ignore
}
