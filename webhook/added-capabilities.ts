import { at, listAt } from './json-path.ts'

/** include/uapi/linux/capability.h, and what runtimes take for all of them. */
const known = new Set([
  'ALL', 'AUDIT_CONTROL', 'AUDIT_READ', 'AUDIT_WRITE', 'BLOCK_SUSPEND', 'BPF', 'CHECKPOINT_RESTORE', 'CHOWN', 'DAC_OVERRIDE',
  'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'IPC_LOCK', 'IPC_OWNER', 'KILL', 'LEASE', 'LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE',
  'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_RAW', 'PERFMON', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID',
  'SYSLOG', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_CHROOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE', 'SYS_RAWIO',
  'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'WAKE_ALARM',
]) // prettier-ignore

/** The capabilities that a container adds to the runtime's default set, without the prefix that runtimes take as well: `SYS_PTRACE`. */
export function addedCapabilities(container: unknown): string[] {
  return listAt(at(container, 'securityContext', 'capabilities', 'add')).map((name) =>
    String(name).toUpperCase().replace(/^CAP_/, ''),
  )
}

/** Runtimes drop after they add: what a container adds and drops it does not have. */
function keptCapabilities(container: unknown): string[] {
  const dropped = new Set(
    listAt(at(container, 'securityContext', 'capabilities', 'drop')).map((name) =>
      String(name).toUpperCase().replace(/^CAP_/, ''),
    ),
  )
  const added = addedCapabilities(container)
  if (dropped.has('ALL')) return added.filter((name) => name !== 'ALL')
  return added.filter((name) => !dropped.has(name))
}

/** Beyond the runtime's default set, what any of the containers has: a restored process can hold nothing that its restorer lacks (criu#499). */
export function grantedCapabilities(containers: readonly unknown[]): string[] {
  const granted = containers.flatMap((container) =>
    at(container, 'securityContext', 'privileged') === true ? ['ALL'] : keptCapabilities(container),
  )
  return [...new Set(granted)].filter((name) => known.has(name)).sort()
}
