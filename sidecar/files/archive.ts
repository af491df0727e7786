/**
 * Archives what CRIU does not carry: everything in the container's writable layer that changed since it began, deletions
 * included, its emptyDir volumes and /dev/shm. Runs while the application stands still, beside CRIU's dump.
 * Files in the checkpoint: `ephemeral.tar`, `ephemeral.list` (the paths in it, NUL-separated), `deleted.list`, and where
 * needed `remaps.tar` with its list.
 */
import { createReadStream } from 'node:fs'
import { lstat, open, rm, writeFile } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { mustRun } from '../proc/command.ts'
import { enterArgv, toolArgv } from '../setup/tools.ts'
import type { Baseline } from './baseline.ts'
import { instantArgument, walkArguments, requireWhole } from './find.ts'
import { readEphemeralRoots } from './mounts.ts'
import { createArguments } from './tar.ts'

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
  deadlineMs: number
  signal: AbortSignal
  log: Log
}

/** @throws ReprieveError `archive-failed` */
export async function archiveEphemeral(
  options: ArchiveOptions,
): Promise<{ entries: number; deleted: number; ms: number }> {
  const began = performance.now()
  try {
    const found = await findChanged(options)
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
  const { roots, mountPoints } = await readEphemeralRoots(options.pid, options.plan)
  if (roots.length === 0) return 0
  try {
    // Such a name is a hard link, and making it changed the file's ctime: all names of the file are found, and stay one file.
    const tests = ['-type', 'f', '-links', '+1', '-newerct', instantArgument(since), '-print0']
    const paths = splitNames(await findNames(options, walkArguments(roots, mountPoints, ...tests)))
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
}

async function findChanged(options: ArchiveOptions): Promise<Changed> {
  const { roots, mountPoints } = await readEphemeralRoots(options.pid, options.plan)
  const changedOnly = ['-newerct', instantArgument(options.baseline.instantMs), '-printf', 'n%y%p\\0']
  const kept = ['(', ...changedOnly, '-o', '-printf', 'o%y%p\\0', ')']
  const found: string[] = []
  // The image's own files are there again. What a volume held when this container began (an init container's or a neighbour's) is
  // not, or not the same; and in a folder that was renamed nothing has a new ctime.
  for (const [root, tests] of roots.map((root) => [root, root === '/' ? changedOnly : kept] as const))
    found.push(...splitNames(await findNames(options, walkArguments([root], mountPoints, ...tests))))
  const entries = found.map((entry) => entry.slice(1))
  const unchanged = found.filter((entry) => /^o[fl]/.test(entry)).map((entry) => entry.slice(2))
  const sockets = entries.filter((entry) => entry.startsWith('s')).map((entry) => entry.slice(1))
  const paths = entries.filter((entry) => !entry.startsWith('s')).map((entry) => entry.slice(1))
  const named = (isDirectory: boolean) =>
    new Set(entries.filter((entry) => entry.startsWith('d') === isDirectory).map((entry) => entry.slice(1)))
  // A mount point's own folder belongs to the volume, but its entries may have changed.
  return {
    paths: paths.filter((path) => path !== '/'),
    sockets,
    unchanged,
    directories: named(true),
    others: named(false),
  }
}

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

/** Runs find and returns its output, which may be large, by way of a file. Names are bytes: latin1 keeps each one. */
async function findNames(options: ArchiveOptions, args: string[]): Promise<string> {
  const output = `${options.folder}/find.out`
  const file = await open(output, 'w+', 0o600)
  try {
    const { stderr } = await mustRun(enterArgv(options.pid, ...toolArgv('find', ...args)), {
      ...options,
      stdio: ['ignore', file.fd, 'pipe'],
      // 1: something could not be read, e.g. a file of another container vanished meanwhile.
      okCodes: [0, 1],
    })
    const { size } = await file.stat()
    const bytes = Buffer.alloc(size)
    await file.read(bytes, 0, size, 0)
    requireWhole(stderr, bytes.at(-1))
    return bytes.toString('latin1')
  } finally {
    await file.close()
    await rm(output, { force: true })
  }
}

async function createTar(options: ArchiveOptions, list: string, tar: string): Promise<void> {
  const names = await open(`${options.folder}/${list}`, 'r')
  const output = await open(`${options.folder}/${tar}`, 'w', 0o600)
  try {
    await mustRun(enterArgv(options.pid, ...createArguments({ recursion: false })), {
      ...options,
      stdio: ['ignore', output.fd, 'pipe', names.fd],
      // tar(1): 1 means that a file changed or vanished while it was read: one that another container shares.
      okCodes: [0, 1],
    })
  } finally {
    await names.close()
    await output.close()
  }
}

function splitNames(text: string): string[] {
  return text.split('\0').filter((name) => name !== '')
}

function joinNames(names: readonly string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')
}
