/**
 * A restored process can hold no capability that its restorer lacks: the kernel refuses, and CRIU's restorer then kills the container
 * (criu#499). So what holds more is not dumped.
 */
import { readFile } from 'node:fs/promises'
import { dumpObstacles } from '../../src/dump-obstacles.ts'
import { ReprieveError } from '../../src/errors.ts'
import { treeOf } from '../proc/process-tree.ts'

/** By number: include/uapi/linux/capability.h. */
const names = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT',
  'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE',
  'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ',
  'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] // prettier-ignore

/** @throws ReprieveError `dump-failed` */
export async function requireCapabilities(root: number): Promise<void> {
  const statuses = (await treeOf(root)).map((pid) => statusOf(pid))
  const missing = missingCapabilities(await Promise.all(statuses), await statusOf('self'))
  if (missing.length === 0) return
  const obstacle = 'holds-more-capabilities'
  const message = `${dumpObstacles[obstacle].means}: ${missing.join(', ')}`
  throw new ReprieveError('dump-failed', message, { obstacle, missing })
}

/** @param held,own texts of /proc/PID/status, proc_pid_status(5) */
export function missingCapabilities(held: readonly string[], own: string): string[] {
  const all = held.reduce((some, status) => some | permittedIn(status), 0n)
  const missing = all & ~permittedIn(own)
  return Array.from({ length: 64 }, (_, bit) => bit)
    .filter((bit) => (missing >> BigInt(bit)) & 1n)
    .map((bit) => names[bit] ?? `number ${bit}`)
}

function permittedIn(status: string): bigint {
  return BigInt(`0x${/^CapPrm:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
}

function statusOf(pid: number | 'self'): Promise<string> {
  return readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
}
