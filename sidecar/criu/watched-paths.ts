/**
 * What the application watches by inotify, as paths. The kernel tells of inodes and file handles; overlayfs gives handles that
 * nobody can open (criu#2854), and a volume's are another's in the next pod. CRIU can look for the inode below paths that it
 * is given (--irmap-scan-path), file by file while everything stands still: so they are found beforehand, exactly.
 */
import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import type { Log } from '../../src/log.ts'
import { mustRun } from '../proc/command.ts'
import { walkArguments } from '../files/find.ts'
import { parseMounts } from '../files/mounts.ts'
import { treeOf } from '../proc/process-tree.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'

/** A large image has a million files, which find walks in 2–5 s; the application runs meanwhile. */
const findDeadlineMs = 15_000
/** Where nothing is watched that could be restored. */
const notFiles = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2', 'devpts', 'mqueue'])

export type WatchOptions = { launcherPid: number; root: number; signal: AbortSignal; log: Log }

/** Empty where nothing is watched, the common case, and where it cannot be found out: CRIU then says what it lacks. */
export async function watchedPaths({ launcherPid, root, signal, log }: WatchOptions): Promise<string[]> {
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
      const tests = [...inodes].map((inode) => ['-inum', inode]).reduce((some, one) => some.concat('-o', one))
      const find = toolArgv('find', ...walkArguments([path], others, '(', ...tests, ')', '-print0'))
      const options = { log, signal, deadlineMs: findDeadlineMs, okCodes: [0, 1] }
      const { stdout } = await mustRun(enterArgv(launcherPid, ...find), options)
      paths.push(...stdout.split('\0').filter((name) => name !== ''))
    }
    return paths
  } catch (error) {
    log.warn({ err: error }, 'the files that the application watches were not found')
    return []
  }
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
