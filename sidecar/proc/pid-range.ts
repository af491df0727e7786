/**
 * Process numbers. A process can be restored only with the PIDs that it had. The PID namespace of the pod is shared: its first few
 * hundred numbers go to the pause process, the launchers, the sidecar and the probes, in a different order each time. So applications
 * get their numbers from a range far above those (process-numbers.ts).
 */
import type { EventLog } from '../../src/log.ts'
import { mustRun } from './command.ts'
import { volumePaths } from '../../src/volume.ts'

/** Numbers above `from`, up to `to`. */
export type Gap = { from: number; to: number }

/** For all applications of the pod: pid_max is 32768 on the smallest nodes. */
export const applicationRange: Gap = { from: 10_000, to: 31_000 }

/**
 * Above the range. A restarted launcher or sidecar gets its numbers from here, so that it takes none that a restore in this pod needs.
 */
export const asideRange: Gap = { from: applicationRange.to, to: 32_767 }

export function isWithin(pid: number, { from, to }: Gap): boolean {
  return pid > from && pid <= to
}

/** The widest run of numbers in the range of which none is taken; the whole range where all are. */
export function widestGap(taken: Iterable<number>, range: Gap = applicationRange): Gap {
  const inside = new Set([...taken].filter((pid) => isWithin(pid, range)))
  let widest: Gap = { from: range.to, to: range.to }
  let from = range.from
  for (const pid of [...[...inside].toSorted((one, other) => one - other), range.to + 1]) {
    if (pid - 1 - from > widest.to - widest.from) widest = { from, to: pid - 1 }
    from = pid
  }
  return widest.to > widest.from ? widest : range
}

/** Makes the kernel give the next process of the pod a number above `pid` (proc(5) ns_last_pid). Best effort: a failure is logged. */
export async function setLastPid(pid: number, log: EventLog): Promise<boolean> {
  try {
    await mustRun([volumePaths.launcher, 'lastpid', String(pid)], { log, deadlineMs: 5_000 })
    return true
  } catch (error) {
    log.warn(
      { event: 'next_pid.unset', err: error, pid },
      'the next process number could not be set: a restore may find its numbers taken',
    )
    return false
  }
}

/**
 * A restarted sidecar may get a number in the range of the applications, which a restore in this pod would need. It then exits, and its
 * guard restarts it with a number above the range.
 */
export async function moveAside(log: EventLog): Promise<void> {
  if (isWithin(process.pid, applicationRange) && (await setLastPid(asideRange.from, log)))
    process.exit(movedAsideCode)
}
const movedAsideCode = 75
