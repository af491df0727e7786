/** The process numbers of a checkpoint must be free in the pod. A number that a short-lived process has is free soon. */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { ReprieveError } from '../../src/errors.ts'
import { everyProcess, threadsOf } from '../proc/process-tree.ts'

/** Children of a neighbour, probes and a person's commands mostly live no longer. */
// @deadline Other processes have the numbers of a checkpoint | The next older checkpoint
export const numbersPatienceMs = 10_000
const lookEveryMs = 50

/** @throws ReprieveError `numbers-taken` with `taken` */
export async function awaitFreeNumbers(
  pids: readonly number[],
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (const until = performance.now() + patienceMs; ; await delay(lookEveryMs)) {
    const all = new Set(await threadsOf(await everyProcess()))
    const taken = pids.filter((pid) => all.has(pid))
    if (taken.length === 0) return
    if (signal.aborted || performance.now() > until) throw await takenError(taken)
  }
}

async function takenError(taken: readonly number[]): Promise<ReprieveError> {
  const named = await Promise.all(
    taken.slice(0, 8).map(async (pid) => {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
      return name === '' ? String(pid) : `${pid} (${name.trim()})`
    }),
  )
  return new ReprieveError('numbers-taken', `process numbers are taken in this pod: ${named.join(', ')}`, {
    taken,
  })
}

/**
 * Whether CRIU found a number taken that was free when the attempt began (EEXIST of clone3 with set_tid), or a helper of its test of the kernel
 * gone. The latter was seen where ten containers were restored at once; nothing has been restored by then.
 */
export function lostNumber(error: unknown): boolean {
  return (
    error instanceof ReprieveError &&
    error.code === 'restore-failed' &&
    /Can't fork for \d+: File exists|Unable to create a thread: -17|failed when initializing kerndat/.test(
      error.message,
    )
  )
}
