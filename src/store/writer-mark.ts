/**
 * The writer of a partial checkpoint, as a part of its name: `<boot and PID namespace>.<pid>.<start time>`. A sidecar that was restarted in
 * its pod has the PID namespace of the writer and knows whether the writer is dead. A writer in another pod is judged by the age of its
 * partial.
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

/** A PID is unique only within one boot and one PID namespace. */
function place(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return createHash('sha256')
    .update(`${boot} ${readlinkSync('/proc/self/ns/pid')}`)
    .digest('hex')
    .slice(0, 12)
}
