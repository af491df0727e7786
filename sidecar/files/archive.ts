/**
 * Archives what CRIU does not carry: everything in the container's writable layer that changed since it began, deletions
 * included, its emptyDir volumes and /dev/shm. Runs while the application stands still, beside CRIU's dump.
 * Files in the checkpoint: `ephemeral.tar`, `ephemeral.list` (the paths in it, NUL-separated), `deleted.list`, and where
 * needed `remaps.tar` with its list.
 */
import { createReadStream } from 'node:fs'
import { lstat, open, writeFile } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { enterArgv } from '../setup/tools.ts'
import type { Baseline } from './baseline.ts'
import { findNames, instantArgument, walkArguments } from './find.ts'
import { readEphemeralRoots } from './mounts.ts'
import { createArchive, createArguments } from './tar.ts'

export const archiveFiles = {
  tar: 'ephemeral.tar',
  list: 'ephemeral.list',
  deleted: 'deleted.list',
  /** Files of volumes that are as they were before the application's first instruction: what init containers had put there. */
  unchanged: 'unchanged.list',
  /** Names that sockets are bound to: CRIU makes them itself. A restore that fails half-way leaves some. */
  sockets: 'sockets.list',
  remapsTar: 'remaps.tar',
  remapsList: 'remaps.list',
} as const

export type ArchiveOptions = {
  /** Any process in the container's mount namespace, e.g. its launcher. */
  pid: number
  plan: ContainerPlan
  baseline: Baseline
  /** The checkpoint's folder in the staging volume. */
  folder: string
  /** What the disk has for the archive: tar would fill it up first, and fail then. */
  roomBytes: number
  deadlineMs: number
  signal: AbortSignal
  log: EventLog
}

/** @throws ReprieveError `archive-failed` */
export async function archiveEphemeral(
  options: ArchiveOptions,
): Promise<{ entries: number; deleted: number; ms: number }> {
  const began = performance.now()
  try {
    const found = await findChanged(options)
    if (found.bytes > options.roomBytes)
      throw new Error(
        `the changed files take ${Math.round(found.bytes)} bytes, and ${options.folder} has room for ${options.roomBytes} beside the memory`,
      )
    const deleted = await findDeleted(options, found)
    await writeFile(`${options.folder}/${archiveFiles.list}`, joinNames(found.paths))
    await writeFile(`${options.folder}/${archiveFiles.deleted}`, joinNames(deleted))
    await writeFile(`${options.folder}/${archiveFiles.unchanged}`, joinNames(found.unchanged))
    await writeFile(`${options.folder}/${archiveFiles.sockets}`, joinNames(found.sockets))
    await createTar(options, archiveFiles.list, archiveFiles.tar)
    return { entries: found.paths.length, deleted: deleted.length, ms: performance.now() - began }
  } catch (error) {
    throw new ReprieveError('archive-failed', 'archiving the files beside the memory failed', {}, error)
  }
}

/**
 * CRIU gives an open file that lost its name a temporary one, `link_remap.N`, beside it, and needs it at the restore. It does
 * so in the course of the dump, so these are archived when the dump is done.
 */
export async function archiveLinkRemaps(options: ArchiveOptions, since: number): Promise<number> {
  const walk = await readEphemeralRoots(options.pid, options.plan)
  if (walk.roots.length === 0) return 0
  try {
    // Such a name is a hard link, and making it changed the file's ctime: all names of the file are found, and stay one file.
    const tests = ['-type', 'f', '-links', '+1', '-newerct', instantArgument(since), '-print0']
    const paths = await findNames(options, walkArguments(walk, ...tests))
    if (!paths.some((path) => path.includes('/link_remap.'))) return 0
    await writeFile(`${options.folder}/${archiveFiles.remapsList}`, joinNames(paths))
    await createTar(options, archiveFiles.remapsList, archiveFiles.remapsTar)
    return paths.length
  } catch (error) {
    throw new ReprieveError(
      'archive-failed',
      'archiving the files that CRIU keeps for open but unnamed files failed',
      {},
      error,
    )
  }
}

type Changed = {
  paths: string[]
  sockets: string[]
  unchanged: string[]
  directories: Set<string>
  others: Set<string>
  /** On the disk; a file of several names is several parts of one. */
  bytes: number
}

/** `n`: it has changed since the baseline; `o`: it has not. */
const printed = (flag: 'n' | 'o') => ['-printf', `${flag}%y%b/%n %p\\0`]

async function findChanged(options: ArchiveOptions): Promise<Changed> {
  const walk = await readEphemeralRoots(options.pid, options.plan)
  const changedOnly = ['-newerct', instantArgument(options.baseline.instantMs), ...printed('n')]
  const kept = ['(', ...changedOnly, '-o', ...printed('o'), ')']
  const found: string[][] = []
  // The image's own files are there again. What a volume held when this container began (an init container's or a neighbour's) is
  // not, or not the same; and in a folder that was renamed nothing has a new ctime.
  for (const [root, tests] of walk.roots.map((root) => [root, root === '/' ? changedOnly : kept] as const))
    found.push(await findNames(options, walkArguments({ ...walk, roots: [root] }, ...tests)))
  const changed: Changed = { paths: [], sockets: [], unchanged: [], directories: new Set(), others: new Set(), bytes: 0 } // prettier-ignore
  for (const entry of found.flat()) {
    const [flag, type, size] = [entry.charAt(0), entry.charAt(1), entry.slice(2, entry.indexOf(' '))]
    const path = entry.slice(entry.indexOf(' ') + 1)
    if (flag === 'o' && (type === 'f' || type === 'l')) changed.unchanged.push(path)
    if (type === 's') changed.sockets.push(path)
    // A mount point's own folder belongs to the volume, but its entries may have changed.
    else if (path !== '/') changed.paths.push(path)
    if (type === 'd') changed.directories.add(path)
    else changed.others.add(path)
    const [blocks = 0, names = 1] = size.split('/').map(Number)
    if (type === 'f') changed.bytes += (blocks * blockBytes) / Math.max(1, names)
  }
  return changed
}

/** stat(2), st_blocks. */
const blockBytes = 512

/**
 * A deletion changes its folder, so only names whose folder changed are looked at. Where a whole folder went, its name alone is
 * kept; so is that of a folder that has become something else, since tar puts a file only in place of an empty one.
 */
async function findDeleted(options: ArchiveOptions, changed: Changed): Promise<string[]> {
  if (options.baseline.names === undefined || changed.paths.length + changed.directories.size === 0) return []
  const deleted = new Set<string>()
  let rest = ''
  for await (const chunk of createReadStream(options.baseline.names, {
    encoding: 'latin1',
    signal: options.signal,
  })) {
    const names = (rest + String(chunk)).split('\0')
    rest = names.pop() ?? ''
    for (const path of names) {
      const parent = path.slice(0, path.lastIndexOf('/')) || '/'
      if (changed.others.has(parent)) deleted.add(parent)
      if (!changed.directories.has(parent) || path === '/') continue
      const there = await lstat(Buffer.from(`/proc/${options.pid}/root${path}`, 'latin1')).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
      )
      if (!there) deleted.add(path)
    }
  }
  return [...deleted]
}

async function createTar(options: ArchiveOptions, list: string, tar: string): Promise<void> {
  const names = await open(`${options.folder}/${list}`, 'r')
  const output = await open(`${options.folder}/${tar}`, 'w', 0o600)
  try {
    await createArchive(enterArgv(options.pid, ...createArguments({ recursion: false })), {
      ...options,
      stdio: ['ignore', output.fd, 'pipe', names.fd],
    })
  } finally {
    await names.close()
    await output.close()
  }
}

function joinNames(names: readonly string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')
}
