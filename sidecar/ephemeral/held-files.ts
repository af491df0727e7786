/**
 * How a tree of processes that stands still holds regular files on volumes that outlive the pod: open, mapped, locked. What is
 * recorded of them tells at a restore whether they still fit (external-verdict.ts).
 */
import { constants } from 'node:fs'
import { lstat, open, readFile, readdir, readlink, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ExternalFile, HeldFile } from '../../src/manifest.ts'
import { databaseMarks, isDatabaseContent, isDatabaseName } from './database-files.ts'
import { printOf, sampleOf } from './file-print.ts'
import { mountOf } from './mounts.ts'

export type HeldOptions = {
  /** All processes of the tree. */
  pids: readonly number[]
  mountPoints: readonly string[]
  /** Mount points of volumes that outlive the pod. */
  external: readonly string[]
}

/**
 * Each sample reads up to 80 KiB, and all of it while the application stands still: a tenth of a second on a local disk, a
 * second on a slow network file system. Files that are written to come first.
 */
const mostSamples = 256

type Descriptor = { flags: number; pos: number; isLocked: boolean }
type Use = { path: string; descriptors: Descriptor[]; mappings: { isWritten: boolean }[]; through: string }

/** @throws Error where a file cannot be looked at: unrecorded, it would pass for unchanged */
export async function heldExternalFiles(options: HeldOptions): Promise<ExternalFile[]> {
  if (options.external.length === 0) return []
  const uses = new Map<string, Use>()
  for (const pid of options.pids) {
    await findDescriptors(pid, options, uses)
    await findMappings(pid, options, uses)
  }
  const locked = await lockedInodes()
  const files: ExternalFile[] = []
  let samples = 0
  for (const use of [...uses.values()].sort((a, b) => Number(isWritten(b)) - Number(isWritten(a)))) {
    const file = await describeUse(use, locked, samples < mostSamples)
    if (file === undefined) continue
    if (file.held?.sample !== undefined) samples++
    files.push(file)
  }
  return files
}

export type SoleWriterOptions = {
  /** How many open file descriptions may write to each path (criu/regular-files.ts). */
  writers: () => Promise<ReadonlyMap<string, number>>
  pids: readonly number[]
  isEnding: boolean
}

/**
 * A descriptor that a fork or a dup shares is one description, which only CRIU can tell apart from another of the same file; and an
 * application that ends with its checkpoint appends nothing later.
 */
export async function withSoleWriters(
  files: readonly ExternalFile[],
  { writers, pids, isEnding }: SoleWriterOptions,
): Promise<ExternalFile[]> {
  const candidates = files.filter(({ held }) => held?.alone === true)
  if (candidates.length === 0) return [...files]
  const [descriptions, others] = isEnding ? [] : await Promise.all([writers(), writtenByOthers(pids)])
  return files.map((file) => {
    const { path, held } = file
    if (held?.alone !== true) return file
    const alone = descriptions?.get(path) === 1 && !others?.has(held.inode)
    return { ...file, held: { ...held, alone } }
  })
}

const isDeleted = (path: string) => path.endsWith(' (deleted)')
/** What is no UTF-8 cannot be named in a manifest: such a file is left as it is. */
const isNamed = (path: string) => path.startsWith('/') && !isDeleted(path) && !path.includes('\ufffd')

async function findDescriptors(pid: number, options: HeldOptions, uses: Map<string, Use>): Promise<void> {
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    if (!isNamed(path) || !options.external.includes(mountOf(path, options.mountPoints))) continue
    const descriptor = parseDescriptor(await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => ''))
    useOf(uses, path, `/proc/${pid}/fd/${fd}`).descriptors.push(descriptor)
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
const mayWrite = ({ flags }: Descriptor) => (flags & 3) !== constants.O_RDONLY
const isWriteOnly = ({ flags }: Descriptor) => (flags & 3) === constants.O_WRONLY
const appends = ({ flags }: Descriptor) => (flags & constants.O_APPEND) !== 0
const isWritten = ({ descriptors, mappings }: Use) =>
  descriptors.some(mayWrite) || mappings.some((mapping) => mapping.isWritten)

/** @returns undefined for what is no regular file, or gone with its process */
async function describeUse(
  use: Use,
  locked: ReadonlySet<string>,
  isSampled: boolean,
): Promise<ExternalFile | undefined> {
  const stats = await stat(use.through, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!stats?.isFile()) return undefined
  const { sizeBytes, ...print } = printOf(stats)
  const sampled = isSampled ? await sampleThrough(use.through, sizeBytes) : undefined
  const writers = use.descriptors.filter(mayWrite)
  const held: HeldFile = {
    ...print,
    ...(sampled === undefined ? {} : { sample: sampled.sample }),
    use: !isWritten(use) ? 'read' : writers.length > 0 && writers.every(appends) ? 'append' : 'write',
    alone: writers.length > 0 && writers.every((writer) => isAtEnd(writer, sizeBytes)),
    mapped: use.mappings.length > 0,
    guarded:
      use.descriptors.some(({ isLocked }) => isLocked) ||
      locked.has(print.inode) ||
      (sampled !== undefined && isDatabaseContent(sampled.beginning)) ||
      (await isBesideDatabase(use)),
  }
  return { path: use.path, sizeBytes, held }
}

/** By the descriptor itself: a path could lead elsewhere. A file system that lets root read nothing (root_squash) gives no sample. */
async function sampleThrough(through: string, sizeBytes: number) {
  const file = await open(through, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
  try {
    return file === undefined ? undefined : await sampleOf(file, sizeBytes)
  } catch {
    return undefined
  } finally {
    await file?.close()
  }
}

/** With something before it: a database that was just made is empty, too, and writes to itself everywhere. */
function isAtEnd(writer: Descriptor, sizeBytes: number): boolean {
  return writer.pos === sizeBytes && (appends(writer) || (isWriteOnly(writer) && sizeBytes > 0))
}

async function isBesideDatabase({ path, through }: Use): Promise<boolean> {
  const name = basename(path)
  if (isDatabaseName(name)) return true
  const pid = through.split('/')[2] ?? ''
  // Only looked for: a hostile application can at most have one of its own files left alone.
  const folder = `/proc/${pid}/root${dirname(path)}`
  const found = await Promise.all(databaseMarks(name).map((mark) => exists(`${folder}/${mark}`)))
  return found.includes(true)
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/** Inode numbers of all files that anybody in the pod has locked (proc_locks(5)); of several file systems, which is on the safe side. */
async function lockedInodes(): Promise<Set<string>> {
  const locks = await readFile('/proc/locks', 'latin1').catch(() => '')
  return new Set([...locks.matchAll(/ [0-9a-f]+:[0-9a-f]+:(\d+) /g)].map(([, inode = '']) => inode))
}

/** Inode numbers of the files that the pod's other processes may write to. */
async function writtenByOthers(pids: readonly number[]): Promise<Set<string>> {
  const written = new Set<string>()
  const own = new Set(pids.map(String))
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || own.has(pid)) continue
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const fdinfo = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '')
      if (!mayWrite(parseDescriptor(fdinfo))) continue
      const file = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined)
      if (file?.isFile()) written.add(String(file.ino))
    }
  }
  return written
}
