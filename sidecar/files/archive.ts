/**
 * Archives what CRIU does not carry: everything in the container's writable layer that changed since it began, deletions
 * included, its emptyDir volumes and /dev/shm. Runs while the application stands still, beside CRIU's dump.
 * Files in the checkpoint: `ephemeral.tar`, `ephemeral.list` (the paths in it, NUL-separated), `deleted.list`, and where
 * needed `remaps.tar` with its list.
 */
import { open, writeFile } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { enterArgv } from '../setup/tools.ts'
import type { Baseline } from './baseline.ts'
import { findChanged, findChangedFolders, findInRoots } from './changed-files.ts'
import { findDeleted, readBaselineNames, type BaselineNames } from './deleted-names.ts'
import { instantArgument } from './find.ts'
import { addMoved } from './moved-folders.ts'
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

/**
 * Reads the names of the baseline in the folders that have changed so far, while the application still runs. Never rejects. Undefined where
 * there is no such list, or it cannot be read now: then `archiveEphemeral` reads it.
 */
export async function readNamesAhead(options: ArchiveOptions): Promise<BaselineNames | undefined> {
  const { pid, plan, baseline, signal, log } = options
  if (baseline.names === undefined) return undefined
  try {
    const roots = await readEphemeralRoots(pid, plan)
    return await readBaselineNames(baseline.names, await findChangedFolders(options, roots, baseline), signal)
  } catch (error) {
    log.debug({ event: 'files.not_read_ahead', err: error }, 'the names of the baseline were not read ahead')
    return undefined
  }
}

/** @throws ReprieveError `archive-failed` */
export async function archiveEphemeral(
  options: ArchiveOptions,
  ahead?: BaselineNames,
): Promise<{ entries: number; deleted: number; ms: number }> {
  const began = performance.now()
  try {
    const { pid, plan, baseline, folder, roomBytes, signal } = options
    const roots = await readEphemeralRoots(pid, plan)
    const found = await findChanged(options, roots, baseline)
    const names = async () =>
      ahead ?? (baseline.names && (await readBaselineNames(baseline.names, found.directories, signal)))
    const known = roots.movesFolders ? await names() : undefined
    if (known) await addMoved(options, roots, baseline, { changed: found, known: known.folders })
    if (found.bytes > roomBytes)
      throw new Error(
        `the changed files take ${Math.round(found.bytes)} bytes, and ${folder} has room for ${roomBytes} beside the memory`,
      )
    const listDeleted = async () => {
      const listed = known ?? (await names())
      return listed ? findDeleted(pid, listed, found, signal) : []
    }
    await writeFile(`${folder}/${archiveFiles.list}`, joinNames(found.paths))
    const [deleted] = await Promise.all([
      listDeleted(),
      createTar(options, archiveFiles.list, archiveFiles.tar),
      writeFile(`${folder}/${archiveFiles.unchanged}`, joinNames(found.unchanged)),
      writeFile(`${folder}/${archiveFiles.sockets}`, joinNames(found.sockets)),
    ])
    await writeFile(`${folder}/${archiveFiles.deleted}`, joinNames(deleted))
    return { entries: found.paths.length, deleted: deleted.length, ms: performance.now() - began }
  } catch (error) {
    throw new ReprieveError('archive-failed', 'archiving the files beside the memory failed', {}, error)
  }
}

/**
 * CRIU gives an open file that lost its name but has another one a temporary name, `link_remap.N`, beside it, and needs it at the restore. It
 * does so in the course of the dump, so these are archived when the dump is done. To be called only where the
 * images name one (hasLinkRemaps): it walks the tree once more while the application stands still.
 */
export async function archiveLinkRemaps(options: ArchiveOptions, since: number): Promise<number> {
  const { pid, plan, baseline } = options
  try {
    const roots = await readEphemeralRoots(pid, plan)
    // Such a name is a hard link, and making it changed the file's ctime: all names of the file are found, and stay one file.
    const tests = ['-type', 'f', '-links', '+1', '-newerct', instantArgument(since), '-print0']
    const paths = await findInRoots(options, roots, baseline, { root: tests, volumes: tests })
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
