/**
 * Who writes a partial checkpoint, told by its name: `<boot and PID namespace>.<pid>.<start time>`. A sidecar that
 * was killed and restarted in its pod shares the PID namespace with what it left behind, and can tell for sure that
 * the writer is gone; about a writer in another pod it can only judge by age.
 */
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { readStatNow } from '../process-stat.ts'

export type WriterState = 'alive' | 'dead' | 'elsewhere'

export function ownWriterMark(): string {
  return `${place()}.${process.pid}.${readStatNow(process.pid)?.startTicks ?? 0}`
}

export function writerState(mark: string): WriterState {
  const [where, pid, startTicks] = mark.split('.')
  if (where !== place()) return 'elsewhere'
  return `${readStatNow(Number(pid))?.startTicks}` === startTicks ? 'alive' : 'dead'
}

/** PIDs mean the same only within one boot and one PID namespace. */
function place(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return createHash('sha256')
    .update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
    .digest('hex')
    .slice(0, 12)
}
