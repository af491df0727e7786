/**
 * What keeps a program from being saved, told from what CRIU says, in words for its owner. A closed table: what is not in it is `dump-failed`
 * with CRIU's own words.
 */
import { ReprieveError } from './errors.ts'

type Description = {
  /** In CRIU's log. */
  says: RegExp
  /** What the program has, and what helps. */
  means: string
  /** The next attempt fails, too, as long as the program is what it is. */
  isLasting: boolean
}

const table = {
  'uses-io-uring': {
    // A ring's descriptor cannot be passed over a socket (EINVAL, io_uring(7)).
    says: /anon_inode:\[io_uring\]|send_fds failed \(-22\)/,
    means:
      'it has an io_uring ring, which cannot be saved. The seccomp profile RuntimeDefault refuses io_uring, and most programs (Node.js among them) do without it',
    isLasting: true,
  },
  'uses-mptcp': {
    says: /Unsupported proto 262\b/,
    means:
      'it has an MPTCP socket, which cannot be saved. Go programs use none with GODEBUG=multipathtcp=0, no program does with the sysctl net.mptcp.enabled=0',
    isLasting: true,
  },
  'uses-shared-memory': {
    says: /SysVIPC shmem map/,
    means:
      'it has a System V shared memory segment (shmget), which cannot be saved. POSIX shared memory (/dev/shm, shm_open) can',
    isLasting: true,
  },
  'uses-outside-file': {
    says: /Can't lookup mount=-?\d+ for fd=-?\d+ path=/,
    means:
      'it has a file open that lies on none of its container’s mounts: a POSIX message queue (mq_open), or a descriptor from another container. It cannot be saved',
    isLasting: true,
  },
  'uses-device': {
    says: /Can't dump file -?\d+ of that type \[[26]\d{4}\]|Can't handle non-regular mapping/,
    means: 'it has a device open that CRIU cannot save, for example a GPU',
    isLasting: true,
  },
  'holds-more-capabilities': {
    // CRIU finds out at the restore only (criu/pie/restorer.c): the sidecar compares before it dumps.
    says: /Unable to restore capabilities/,
    means:
      'it holds capabilities that the sidecar lacks (capabilities.add of its container, where the node or the configuration does not grant them to the sidecar), and could not be restored',
    isLasting: true,
  },
  'lacks-sys-resource': {
    // check_prlimit_permission, kernel/sys.c: the caller's own user, or CAP_SYS_RESOURCE.
    says: /Can't get rlimit \d+: Operation not permitted/,
    means:
      'one of its processes is not root’s, and CRIU needs CAP_SYS_RESOURCE in the sidecar to read its limits (prlimit). The node or the configuration does not grant it',
    isLasting: true,
  },
  'runs-from-memory': {
    // At the restore only, as above.
    says: /No entry for reg-file-ID/,
    means:
      'one of its processes runs a program that is no file but a memfd (memfd_create, execve), which could not be restored',
    isLasting: true,
  },
  'holds-excluded-file': {
    // At the restore only, as above (files-reg.c).
    says: /Can't open file \S+ on restore: No such file/,
    means:
      'it has a file, a folder or a socket open below a path of reprieve.dev/exclude, or watches one there by inotify, which would be missing at a restore. Exclude only what the application does not keep open',
    isLasting: false,
  },
  'uses-own-namespaces': {
    says: /Can't dump nested \w+ namespace/,
    means:
      'it has made namespaces of its own, as sandboxes do (bubblewrap, a browser’s, unshare). They cannot be saved',
    isLasting: true,
  },
  'connected-outside': {
    says: /Unix socket \d+ (without|with unreachable) peer|External socket is used|half of stream unix connection|name-less external socket/,
    means:
      'it is connected by a unix socket to a process outside the pod (through a hostPath volume, for example an agent of the node), or was connected to one that was just made. That cannot be saved while it lasts',
    isLasting: true,
  },
  'connection-in-backlog': {
    says: /Found a closed in-flight socket|Non-empty write queue on an in-flight socket/,
    means:
      'a client of a unix socket has connected, sent and closed before the program accepted the connection. It can be saved once it has',
    isLasting: false,
  },
  'under-debugger': {
    says: /Unseizable non-zombie \d+ found, state t/,
    means: 'one of its processes is traced (strace, gdb, a profiler). It can be saved once it is not',
    isLasting: false,
  },
} as const satisfies Record<string, Description>

export type DumpObstacle = keyof typeof table

export const dumpObstacles: Readonly<Record<DumpObstacle, Description>> = table

const names = Object.keys(table) as DumpObstacle[]

/** @param criuSaid the errors in CRIU's log */
export function obstacleIn(criuSaid: string): DumpObstacle | undefined {
  return names.find((name) => table[name].says.test(criuSaid))
}

/** What kept a checkpoint from being taken, where that is known. */
export function obstacleOf(error: unknown): DumpObstacle | undefined {
  const obstacle = error instanceof ReprieveError ? error.data.obstacle : undefined
  return names.find((name) => name === obstacle)
}

/** Of a reason why no checkpoint was taken: whether another attempt fails as long as the program does not change. */
export function isLasting(reason: string): boolean {
  return names.some((name) => name === reason && table[name].isLasting)
}
