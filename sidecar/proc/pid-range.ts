/**
 * Process numbers. A process can be restored only with the PIDs that it had. The PID namespace of the pod is shared: its first few
 * hundred numbers go to the pause process, the launchers, the sidecar and the probes, in a different order each time. So the
 * application gets numbers from a range of its own, far above those.
 */
import type { EventLog } from '../../src/log.ts'
import { mustRun } from './command.ts'
import { volumePaths } from '../../src/volume.ts'

/** Where the first container's range begins, and where the last one's ends: pid_max is 32768 on the smallest nodes. */
const firstPid = 10_000
const endPid = 31_000
/**
 * Above every range. A restarted launcher or sidecar gets its numbers from here, so that it takes none that a restore in this pod needs.
 */
export const asidePid = endPid

/** The number before the first PID of the container's range. */
export function rangeStart(index: number, containers: number): number {
  return firstPid + index * Math.floor((endPid - firstPid) / Math.max(1, containers))
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

export function isInRange(pid: number): boolean {
  return pid > firstPid && pid <= endPid
}

/**
 * A restarted sidecar may get a number in the range of an application, which a restore in this pod would need. It then exits, and its
 * guard restarts it with a number above the ranges.
 */
export async function moveAside(log: EventLog): Promise<void> {
  if (isInRange(process.pid) && (await setLastPid(asidePid, log))) process.exit(movedAsideCode)
}
const movedAsideCode = 75
