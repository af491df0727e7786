/** The expected time of a checkpoint of a container, from its last checkpoints. Pure. */
import type { Measured } from './ledger.ts'

export type Took = {
  /** Until CRIU has stopped every task; then until dump and archive are complete; then until everything is in the store. */
  startMs: number
  dumpMs: number
  storeMs: number
  /** The size of all files of that checkpoint. */
  bytes: number
  /** The memory of the application then. Only its growth counts, since the other files need not have grown. */
  memoryBytes: number
  /** False: nothing was measured yet. */
  measured: boolean
}

/**
 * For how long a checkpoint would stop an application: while its memory is dumped and, beside that, its files are archived. By the fastest of
 * the measured ones, since a disk that was busy once must not end all periodic checkpoints. What has been added since counts at that rate or
 * the assumed one, whichever is faster.
 */
export function freezeMs(
  measured: readonly Measured[],
  now: { memoryBytes: number; archiveBytes: number },
): number {
  const nothing: Measured = { phases: {}, bytes: 0, memoryBytes: 0 }
  const each = (measured.length === 0 ? [nothing] : measured).map(
    ({ phases, bytes, memoryBytes = bytes }) => {
      const { dumpMs = 0, archiveMs = 0 } = phases
      const dump = withGrowth(dumpMs, memoryBytes, now.memoryBytes, assumed.dumpBytesPerMs)
      const archive = withGrowth(archiveMs, Math.max(0, bytes - memoryBytes), now.archiveBytes, assumed.archiveBytesPerMs) // prettier-ignore
      return Math.max(dump, archive)
    },
  )
  return Math.min(...each)
}

function withGrowth(ms: number, bytes: number, nowBytes: number, assumedRate: number): number {
  const share = bytes > 0 ? Math.min(1, nowBytes / bytes) : 1
  return ms * share + Math.max(0, nowBytes - bytes) / Math.max(bytes / Math.max(ms, 1), assumedRate)
}

/** For a container without a measurement: half the rate of a page cache, a plain local disk, and a network file system of a gigabit. */
export const assumed = {
  startMs: 500,
  dumpBytesPerMs: 1_000_000,
  archiveBytesPerMs: 200_000,
  storeBytesPerMs: 100_000,
} as const

/** By the slowest measured checkpoint: a plan that is too bold loses everything, one that is too careful loses little. */
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
 * The same for an application that has grown since. The growth counts at the measured rate or the assumed one, whichever is faster,
 * since most of the time of a small checkpoint does not depend on its size.
 *
 * @param memoryBytes the memory of the application now
 */
export function estimate(
  took: Took,
  memoryBytes: number,
): { startMs: number; dumpMs: number; storeMs: number } {
  const growth = Math.max(0, memoryBytes - took.memoryBytes)
  const more = (bytes: number, ms: number, rate: number) => growth / Math.max(bytes / Math.max(ms, 1), rate)
  return {
    startMs: took.startMs,
    // The files are archived in parallel with the dump: many files do not mean that memory is written slowly.
    dumpMs: took.dumpMs + more(took.memoryBytes, took.dumpMs, assumed.dumpBytesPerMs),
    storeMs: took.storeMs + more(took.bytes, took.storeMs, assumed.storeBytesPerMs),
  }
}

/** The archive is made in parallel with the dump. The rest of the total is storing, whether the application was stopped or not. */
function timesOf({ phases, bytes, memoryBytes = bytes }: Measured): Omit<Took, 'measured'> {
  const { startMs = 0, dumpMs = 0, archiveMs = 0, totalMs = 0 } = phases
  const stillMs = Math.max(dumpMs, archiveMs)
  return { startMs, dumpMs: stillMs, storeMs: Math.max(totalMs - startMs - stillMs, 0), bytes, memoryBytes } // prettier-ignore
}
