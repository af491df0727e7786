/**
 * What the application watches by inotify, as paths. The kernel tells of inodes and file handles; overlayfs gives handles that
 * nobody can open (criu#2854), and a volume's are another's in the next pod. CRIU can look for the inode below paths that it
 * is given (--irmap-scan-path), file by file while everything stands still: so they are found beforehand, exactly.
 */
import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import { ReprieveError } from '../../src/errors.ts'
import { findEach, walkArguments } from '../files/find.ts'
import { parseMounts } from '../files/mounts.ts'
import { treeOf } from '../proc/process-tree.ts'

/** A large image has a million files, which find walks in 2–5 s; the application runs meanwhile. */
const findDeadlineMs = 15_000
/** Where nothing is watched that could be restored. */
const notFiles = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2', 'devpts', 'mqueue'])

export type WatchOptions = {
  launcherPid: number
  root: number
  workFolder: string
  signal: AbortSignal
  log: EventLog
}

/**
 * Empty where nothing is watched, the common case, and where it cannot be found out: CRIU then says what it lacks.
 * @throws ReprieveError `dump-failed` for more than CRIU can be told
 */
export async function watchedPaths(options: WatchOptions): Promise<string[]> {
  const { launcherPid, root, workFolder, signal, log } = options
  try {
    const watched = await watchedInodes(await treeOf(root))
    if (watched.size === 0) return []
    const mounts = parseMounts(await readFile(`/proc/${launcherPid}/mountinfo`, 'utf8')).filter(
      ({ type }) => !notFiles.has(type),
    )
    const paths: string[] = []
    for (const { path } of mounts) {
      const device = await deviceOf(`/proc/${launcherPid}/root${path}`)
      const inodes = device === undefined ? undefined : watched.get(device)
      if (inodes === undefined) continue
      const others = mounts.map((mount) => mount.path).filter((other) => other !== path)
      // All are listed and looked through here: a test for each inode would be asked of each file, and fill the command line.
      const find = { pid: launcherPid, folder: workFolder, log, signal, deadlineMs: findDeadlineMs }
      await findEach(
        find,
        walkArguments({ roots: [path], mountPoints: others, excluded: [] }, '-printf', '%i %p\\0'),
        (line) => {
          const end = line.indexOf(' ')
          // Once: a file of several names, or on a volume that is mounted twice, is found again and again.
          if (inodes.delete(line.slice(0, end))) paths.push(textOf(line.slice(end + 1)))
        },
      )
    }
    requireFit(paths)
    return paths
  } catch (error) {
    if (error instanceof ReprieveError && error.code === 'dump-failed') throw error
    log.warn(
      { event: 'images.watches_unknown', err: error },
      'the files that the application watches were not found',
    )
    return []
  }
}

/** Arguments are text. What is none (ext4 keeps any bytes as a name) CRIU is told of by another name than the file has, and finds nothing there. */
function textOf(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8')
}

/** All arguments together have a quarter of the stack's limit, 2 MiB where that is the usual 8 MiB (execve(2)). */
const argumentBytes = 1 << 20
const bytesBeside = '--irmap-scan-path'.length + 2 + 2 * 8

function requireFit(paths: readonly string[]): void {
  const bytes = paths.reduce((sum, path) => sum + Buffer.byteLength(path) + bytesBeside, 0)
  if (bytes > argumentBytes)
    throw new ReprieveError(
      'dump-failed',
      `the application watches ${paths.length} files by inotify; their paths take ${bytes} bytes, and a command line has room for ${argumentBytes}`,
    )
}

/** Inode numbers by device, both as /proc/PID/fdinfo shows them but decimal (proc(5)). */
async function watchedInodes(pids: readonly number[]): Promise<Map<number, Set<string>>> {
  const found = new Map<number, Set<string>>()
  for (const pid of pids)
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      if (target !== 'anon_inode:inotify') continue
      const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '')
      for (const [, inode = '', device = ''] of info.matchAll(/^inotify wd:\S+ ino:(\S+) sdev:(\S+)/gm)) {
        const number = Number.parseInt(device, 16)
        found.set(number, (found.get(number) ?? new Set()).add(BigInt(`0x${inode}`).toString()))
      }
    }
  return found
}

/** The kernel's own number of the device that a path lies on: 20 bits of minor number (linux/kdev_t.h), not stat(2)'s 8. */
async function deviceOf(path: string): Promise<number | undefined> {
  const dev = (await stat(path, { bigint: true }).catch(() => undefined))?.dev
  if (dev === undefined) return undefined
  const major = (dev >> 8n) & 0xfffn
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)
  return Number((major << 20n) | minor)
}
