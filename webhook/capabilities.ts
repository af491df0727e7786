/**
 * The capabilities of the two injected containers, each with its reason. Reprieve never gives one of them to the application's container.
 * https://man7.org/linux/man-pages/man7/capabilities.7.html
 */
import type { OptionalCapability } from '../src/config.ts'

/**
 * The restore init container reads the store and writes the volume as root, whoever owns the files there. SYS_PTRACE it never uses: processes are
 * shared, and who lacks one of another's capabilities may not look into it (ptrace(2), PTRACE_MODE_READ). All others belong to the default
 * set, so that an ephemeral container of root's could reach the store by way of /proc/PID/root.
 */
export const restoreCapabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SYS_PTRACE'] as const

export const sidecarCapabilities: Readonly<Record<string, string>> = {
  // Beyond the runtime's defaults: what CRIU needs to look at and rebuild processes of other users.
  SYS_ADMIN: 'enter the application’s namespaces; mount /proc and the cgroup hierarchy afresh',
  SYS_PTRACE: 'seize the application’s threads; read /proc/PID/map_files',
  CHECKPOINT_RESTORE: 'write ns_last_pid; restore with chosen process ids',
  SYS_RESOURCE:
    'read and set another user’s resource limits; set the fields of prctl(PR_SET_MM); outlive the OOM killer to thaw',
  SYS_TIME: 'set the clocks of a time namespace, so that monotonic time goes on',
  SYS_CHROOT: 'chroot while a process’s root is restored; setns of a mount namespace asks for it too',
  NET_ADMIN: 'repair mode of TCP sockets',
  DAC_READ_SEARCH: 'open files by handle, for inotify and for unlinked files',
  // containerd's and CRI-O's default set: a restored process can hold no capability that its restorer lacks.
  AUDIT_WRITE: 'default set',
  CHOWN: 'default set; give restored files their owners',
  DAC_OVERRIDE: 'default set; write restored files whoever owns them',
  FOWNER: 'default set; set modes and times of files of others',
  FSETID: 'default set; keep set-user-ID bits of restored files',
  KILL: 'default set; signal the application’s processes',
  MKNOD: 'default set; recreate FIFOs and whiteouts',
  NET_BIND_SERVICE: 'default set; bind restored listeners below port 1024',
  NET_RAW: 'default set (containerd)',
  SETFCAP: 'default set; restore file capabilities',
  SETGID: 'default set; give restored processes their groups',
  SETPCAP: 'default set; give restored processes their capability sets',
  SETUID: 'default set; give restored processes their users',
}

const names = Object.keys(sidecarCapabilities)

/** @param granted what the protected containers were given (grantedCapabilities): the sidecar is given that, too, and no more */
export function sidecarCapabilityNames(
  without: readonly OptionalCapability[],
  granted: readonly string[],
): string[] {
  const own = names.filter((name) => !without.some((left) => left === name))
  return granted.includes('ALL') ? ['ALL'] : [...new Set([...own, ...granted])]
}
