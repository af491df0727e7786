/**
 * Sets the record locks of a restored tree again that CRIU has lost (record-locks.ts). SQLite (in WAL mode) and LMDB show by one that they
 * have their database open. Without it, the next process that opens the database takes itself for the first one, and makes the mapped
 * file anew under the other.
 */
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { runCommand } from '../proc/command.ts'
import { locksKey, type Inventory } from '../proc/inventory.ts'
import { treeInContainer } from '../proc/process-tree.ts'
import { lockCounts } from '../proc/record-locks.ts'

/** Each takes some 20 µs. */
// @deadline Record locks are not set again in a restored process | The same checkpoint again, within `restoreBudget`
const deadlineMs = 5_000
/** A command line holds 2 MiB. */
const mostLocks = 10_000

/**
 * To be called while the restored tree stands still, before anything else may open its files.
 * @returns a line for each process that has fewer than it had
 * @throws ReprieveError `deadline-passed` if the launcher does not answer: it may have stopped a process in the middle of the call
 */
export async function putBackLocks(
  was: Inventory,
  { root, launcherPid }: { root: number; launcherPid: number },
  log: EventLog,
): Promise<string[]> {
  let isLate = false
  try {
    // The inventory comes from the store, which others may write: no process of another container is touched.
    const tree = (await treeInContainer(root, launcherPid)).map((pid) => ({ pid, locks: locksIn(was, pid) }))
    const counts = lockCounts()
    // Those that a process still has are set again as they are.
    const lacking = tree.filter(({ pid, locks }) => (counts.get(pid) ?? 0) < locks.length)
    const words = lacking.flatMap(({ pid, locks }) => locks.map((lock) => `${pid}:${lock}`))
    if (words.length === 0) return []
    const argv = [volumePaths.launcher, 'record-locks', ...words.slice(0, mostLocks)]
    const result = await runCommand(argv, { log, deadlineMs })
    isLate = result.outcome === 'deadline'
    if (result.outcome !== 'exited' || result.stderr !== '')
      log.debug(
        { event: 'restore.locks_unset', stderr: result.stderr },
        'not all record locks were set again',
      )
    if (!isLate) return fewerLocks(lacking)
  } catch (error) {
    log.debug({ event: 'restore.locks_unset', err: error }, 'record locks could not be set again')
    return []
  }
  throw new ReprieveError('deadline-passed', `record locks were not set again within ${deadlineMs} ms`)
}

/** An inventory of an earlier release has none. */
export function locksIn({ tasks }: Inventory, pid: number): string[] {
  const words = tasks[pid]?.[locksKey]?.split(' ') ?? []
  return words.filter((word) => /^\d{1,10}:[01]:\d{1,19}:\d{1,19}$/.test(word))
}

/** @returns a line for each process that has fewer than it had */
export function fewerLocks(
  had: readonly { pid: number; locks: string[] }[],
  counts = lockCounts(),
): string[] {
  return had.flatMap(({ pid, locks: { length } }) => {
    const has = counts.get(pid) ?? 0
    return has < length ? [`${pid}: ${locksKey} were ${length}, and are ${has}`] : []
  })
}
