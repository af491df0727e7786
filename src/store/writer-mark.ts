/**
 * Who writes a partial checkpoint, told by its name: `<boot and PID namespace>.<pid>.<start time>`. A sidecar that
 * was killed and restarted in its pod shares the PID namespace with what it left behind, and can tell for sure that
 * the writer is gone; about a writer in another pod it can only judge by age.
 */
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { errnoOf } from './store-failure.ts'

export type WriterState = 'alive' | 'dead' | 'elsewhere'

export function ownWriterMark(): string {
  return `${place()}.${process.pid}.${startTimeOf(process.pid) ?? '0'}`
}

export function writerState(mark: string): WriterState {
  const [where, pid, startTime] = mark.split('.')
  if (where !== place()) return 'elsewhere'
  return startTimeOf(Number(pid)) === startTime ? 'alive' : 'dead'
}

/** PIDs mean the same only within one boot and one PID namespace. */
function place(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return createHash('sha256')
    .update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
    .digest('hex')
    .slice(0, 12)
}

/** Field 22 of /proc/PID/stat, in clock ticks since boot (proc_pid_stat(5)): a PID used again differs in it. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the program's name in parentheses, may hold spaces and parentheses itself.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined
    throw error
  }
}
