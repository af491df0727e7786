/** What every dump and restore say to CRIU, and why. */
import type { StdioPipe } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'

/** Unlinked open files up to this size travel in the images (CRIU's default of 1 MiB loses every mmap'd scratch file). */
const ghostLimitBytes = 4 * 1024 ** 3

/** Descriptors that the launcher gives CRIU: the images' folder, the folder of logs, and the socket of the hook. */
export const criuDescriptors = { hook: 3, images: 4, work: 5 } as const

/** The launcher's `supervise` opens the new container's stdio as 100 + fd. */
export const inheritedStdioBase = 100

const common = [
  // CRIU runs among the application's files: neither their /etc/criu nor their /usr/lib/criu may tell it what to do.
  '--no-default-config',
  '--libdir',
  // A folder that is there and holds no plugin: CRIU fails on one that is missing, and loads what ends with .so.
  volumePaths.bin,
  // 3: messages down to pr_info, which mark the phases; 4 writes a line for each memory area and slows the dump.
  '-v3',
  '--images-dir',
  `/proc/self/fd/${criuDescriptors.images}`,
  '--work-dir',
  `/proc/self/fd/${criuDescriptors.work}`,
  '--skip-in-flight',
  // No firewall rules: left-over ones cut a pod's network (cri-o#4199). What is kept has both its ends in the tree, which stands still.
  '--network-lock',
  'skip',
  '--file-locks',
  // The pod's cgroups are the runtime's.
  '--manage-cgroups=ignore',
  '--action-script',
  '/reprieve/bin/criu-hook',
]

export type Held = {
  /** Paths of what the application watches by inotify. */
  watched: readonly string[]
  /** Inodes of its connected unix sockets: where the other end is outside the tree, CRIU dumps the half. */
  connected: readonly string[]
}

export function dumpArguments(
  root: number,
  stdio: readonly StdioPipe[],
  leaveRunning: boolean,
  { watched, connected }: Held = { watched: [], connected: [] },
): string[] {
  return [
    'dump',
    '--tree',
    String(root),
    '--log-file',
    'dump.log',
    ...common,
    // CRIU leaves the connections alone: what is kept of them is saved beside it (kept-connections.ts).
    '--tcp-close',
    '--link-remap',
    '--ghost-limit',
    String(ghostLimitBytes),
    // inotify watches are found by path: see watched-paths.ts.
    '--force-irmap',
    ...watched.flatMap((path) => ['--irmap-scan-path', path]),
    ...stdioInodes(stdio).flatMap((inode) => ['--external', `pipe:[${inode}]`]),
    ...connected.flatMap((inode) => ['--external', `unix[${inode}]`]),
    ...(leaveRunning ? ['--leave-running'] : []),
  ]
}

/** @param available which of the new container's descriptors 0 to 2 are pipes */
export function restoreArguments(stdio: readonly StdioPipe[], available: readonly number[]): string[] {
  const inherited = new Map<string, number>()
  for (const { fd, inode } of stdio) {
    // Standard error may have shared standard output's pipe, or there is none now: the nearest that exists takes it.
    const target = [fd, 1, 2].find((candidate) => available.includes(candidate))
    if (target !== undefined && !inherited.has(inode)) inherited.set(inode, target)
  }
  return [
    'restore',
    '--log-file',
    'restore.log',
    ...common,
    // Those that can go on; of the others nothing but closed sockets is left in the images by now (fit-connections.ts).
    '--tcp-established',
    '--restore-detached',
    '--restore-sibling',
    ...[...inherited].flatMap(([inode, fd]) => [
      '--inherit-fd',
      `fd[${inheritedStdioBase + fd}]:pipe:[${inode}]`,
    ]),
  ]
}

function stdioInodes(stdio: readonly StdioPipe[]): string[] {
  return [...new Set(stdio.map((pipe) => pipe.inode))]
}
