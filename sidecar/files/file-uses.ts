/** How processes hold files, as /proc tells it: their descriptors, mappings and locks. */
import { constants, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { everyProcess } from '../proc/process-tree.ts'
import { mountOf } from './mounts.ts'

export type HeldOptions = {
  /** All processes of the tree. */
  pids: readonly number[]
  mountPoints: readonly string[]
  /** Mount points of volumes that outlive the pod. */
  external: readonly string[]
}

export type Descriptor = { flags: number; pos: number; isLocked: boolean }
export type Use = {
  path: string
  descriptors: Descriptor[]
  mappings: { isWritten: boolean }[]
  through: string
}

/** All regular files on lasting volumes that any of the processes has open or mapped, by their paths. */
export async function findUses(options: HeldOptions): Promise<Use[]> {
  const uses = new Map<string, Use>()
  for (const pid of options.pids) {
    findDescriptors(pid, options, uses)
    await findMappings(pid, options, uses)
  }
  return [...uses.values()]
}

/** An NFS client renames what is unlinked while it is open, and removes it with its process. */
const isSillyRenamed = (path: string) => /\/\.nfs[0-9a-f]{16,}$/.test(path)
const isDeleted = (path: string) => path.endsWith(' (deleted)') || isSillyRenamed(path)
/** What is no UTF-8 cannot be named in a manifest: such a file is left as it is. */
const isNamed = (path: string) => path.startsWith('/') && !isDeleted(path) && !path.includes('\ufffd')

/** At once, one process after the other: /proc answers from memory, and a program may have a hundred thousand descriptors. */
function findDescriptors(pid: number, options: HeldOptions, uses: Map<string, Use>): void {
  for (const fd of orElse(() => readdirSync(`/proc/${pid}/fd`), [])) {
    const path = orElse(() => readlinkSync(`/proc/${pid}/fd/${fd}`), '')
    if (!isNamed(path) || !options.external.includes(mountOf(path, options.mountPoints))) continue
    const fdinfo = orElse(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'), '')
    useOf(uses, path, `/proc/${pid}/fd/${fd}`).descriptors.push(parseDescriptor(fdinfo))
  }
}

/** A process may end, and a descriptor be closed, in between. */
function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look()
  } catch {
    return otherwise
  }
}

/** @param fdinfo text of /proc/PID/fdinfo/FD, proc_pid_fdinfo(5) */
export function parseDescriptor(fdinfo: string): Descriptor {
  const number = (key: string, base: number) =>
    Number.parseInt(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(fdinfo)?.[1] ?? '0', base)
  return { flags: number('flags', 8), pos: number('pos', 10), isLocked: /^lock:/m.test(fdinfo) }
}

async function findMappings(pid: number, options: HeldOptions, uses: Map<string, Use>): Promise<void> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '')
  for (const { range, mode, path } of parseMappings(maps, options.external)) {
    if (!isNamed(path) || !options.external.includes(mountOf(path, options.mountPoints))) continue
    useOf(uses, path, `/proc/${pid}/map_files/${range}`).mappings.push({ isWritten: /w.s$/.test(mode) })
  }
}

/** @param maps text of /proc/PID/maps, proc_pid_maps(5): the lines whose path begins with one of `below` */
export function parseMappings(
  maps: string,
  below: readonly string[],
): { range: string; mode: string; path: string }[] {
  // A large tree has a million lines, few of which are of files on such volumes.
  if (!below.some((path) => maps.includes(` ${path}`))) return []
  return [...maps.matchAll(/^([0-9a-f]+-[0-9a-f]+) (\S{4}) \S+ \S+ \d+ +(\/.*)$/gm)].map(
    ([, range = '', mode = '', path = '']) => ({ range, mode, path: path.replaceAll('\\012', '\n') }),
  )
}

function useOf(uses: Map<string, Use>, path: string, through: string): Use {
  const use = uses.get(path) ?? { path, descriptors: [], mappings: [], through }
  uses.set(path, use)
  return use
}

/** fcntl.h */
export const mayWrite = ({ flags }: Descriptor) => (flags & 3) !== constants.O_RDONLY
export const isWriteOnly = ({ flags }: Descriptor) => (flags & 3) === constants.O_WRONLY
export const appends = ({ flags }: Descriptor) => (flags & constants.O_APPEND) !== 0

/** Inode numbers of all files that anybody in the pod has locked (proc_locks(5)); of several file systems, which is on the safe side. */
export async function lockedInodes(): Promise<Set<string>> {
  const locks = await readFile('/proc/locks', 'latin1').catch(() => '')
  return new Set([...locks.matchAll(/ [0-9a-f]+:[0-9a-f]+:(\d+) /g)].map(([, inode = '']) => inode))
}

/** Inode numbers of the files that the pod's other processes may write to. */
export async function writtenByOthers(pids: readonly number[]): Promise<Set<string>> {
  const written = new Set<string>()
  const own = new Set(pids)
  for (const pid of await everyProcess()) {
    if (own.has(pid)) continue
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const fdinfo = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '')
      if (!mayWrite(parseDescriptor(fdinfo))) continue
      const file = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined)
      if (file?.isFile()) written.add(String(file.ino))
    }
  }
  return written
}
