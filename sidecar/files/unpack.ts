/**
 * Brings an archive's files into a fresh container, and can take that back: a restore that fails must leave the container
 * as its image made it for the next older checkpoint, or for a cold start.
 * All names are resolved inside the container's mount namespace (by tools entered there), never from here, where a
 * symbolic link of a hostile application would lead into our own files.
 */
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import { exists } from '../../src/exists.ts'
import { mustRun } from '../proc/command.ts'
import { startTicksOf } from '../proc/process-tree.ts'
import { enterArgv, enterChargedArgv, toolArgv } from '../setup/tools.ts'
import { archiveFiles } from './archive.ts'
import { freshFiles, type FreshOptions } from './fresh-files.ts'
import { createArchive, createArguments, extractArguments } from './tar.ts'

export type UnpackOptions = Omit<FreshOptions, 'held' | 'firstStart'>

/** Which files of the archive are not unpacked, because their volumes are in use (sidecar/volumes). Names are bytes in latin1. */
export type SharedNames = {
  /** Mount points of the volumes. Nothing is removed there. */
  volumes: readonly string[]
  /** Those in which nothing is unpacked at all. */
  whole: ReadonlySet<string>
  /** Names that stay as they are. */
  leave: ReadonlySet<string>
  /** Folders that are there, and are not removed again. */
  keep: ReadonlySet<string>
  /** Names that are unpacked. */
  back: ReadonlySet<string>
}

const none: ReadonlySet<string> = new Set()
export const nothingShared: SharedNames = { volumes: [], whole: none, leave: none, keep: none, back: none }

/** Beside the checkpoint's files while it is being restored: what was there before it. */
const undoFiles = { replaced: 'undo-replaced.tar', removed: 'undo-removed.tar' } as const

/** Names that are not unpacked, one a line. */
const exceptList = 'except.list'

/**
 * And the names brought, deepest first. While there is such a list its container holds what was brought, or some of it. It is named for
 * the container's launcher: in a container that was started again since, nothing of it is to be taken back.
 */
async function broughtList(options: UnpackOptions): Promise<string> {
  return `undo-${options.pid}-${await startTicksOf(options.pid)}.list`
}

/** A busy disk makes a thousand files a second, however small: 150,000 were seen to take 82 s. */
const slowFileMs = 1

/** The names that the application had deleted, but for those on volumes that are in use. */
const goneList = 'gone.list'

/** @throws ReprieveError `restore-failed`; then `undoUnpack` puts things back. */
export async function unpackEphemeral(
  given: FreshOptions,
  shared: SharedNames = nothingShared,
): Promise<{ ms: number }> {
  const began = performance.now()
  try {
    const options = { ...given, deadlineMs: given.deadlineMs + (await namesIn(given)) * slowFileMs }
    const fresh = await freshFiles(options)
    const stays = (name: string) => fresh.has(name) || shared.leave.has(name) || isBelow(name, shared.whole)
    await writeGone(options, (name) => !shared.leave.has(name) && !isBelow(name, shared.volumes))
    await recordUndo(options, (name) => !stays(name) && !shared.keep.has(name))
    await removeNames(options, goneList, ['-xdev', '-depth', '-delete'])
    const except = new Set([...fresh, ...shared.leave, ...shared.whole])
    await writeFile(`${options.folder}/${exceptList}`, linesOf(except))
    await extract(options, archiveFiles.tar, except.size > 0)
    await extract(options, archiveFiles.remapsTar, except.size > 0)
    return { ms: performance.now() - began }
  } catch (error) {
    throw new ReprieveError('restore-failed', 'unpacking the files beside the memory failed', {}, error)
  }
}

/**
 * Removes what `unpackEphemeral` brought and puts back what it replaced or removed, in this life of the sidecar or in an earlier one.
 * False where there is nothing to take back. Can be repeated after a kill at any instant.
 */
export async function undoUnpack(options: UnpackOptions): Promise<boolean> {
  const brought = await broughtList(options)
  if (!(await exists(`${options.folder}/${brought}`))) return false
  // A folder that still holds something of the image is not empty, so it stays.
  await removeNames(options, brought, ['-maxdepth', '0', '-delete'])
  for (const tar of [undoFiles.replaced, undoFiles.removed]) await extract(options, tar)
  await rm(`${options.folder}/${brought}`)
  return true
}

function isBelow(name: string, folders: Iterable<string>): boolean {
  return [...folders].some((folder) => name === folder || name.startsWith(`${folder}/`))
}

/** Keeps the files that are about to be replaced or removed. In a fresh container few of them exist. */
async function recordUndo(options: UnpackOptions, isBrought: (name: string) => boolean): Promise<void> {
  const list = await broughtList(options)
  // An attempt that was not taken back: what is there now is the checkpoint's own, not what was there before it.
  if (await exists(`${options.folder}/${list}`)) return
  const lists = [archiveFiles.list, archiveFiles.remapsList, archiveFiles.sockets]
  const named = await Promise.all(lists.map((one) => namesOf(options, one)))
  const brought = joined(named.flat().filter(isBrought).toReversed())
  // The list comes last, by its final name: without it nothing is taken back, for nothing was changed yet.
  const draft = `${list}.draft`
  await writeFile(`${options.folder}/${draft}`, brought)
  await keep(options, draft, undoFiles.replaced, false)
  await keep(options, goneList, undoFiles.removed, true)
  await rename(`${options.folder}/${draft}`, `${options.folder}/${list}`)
}

async function writeGone(options: UnpackOptions, isGone: (name: string) => boolean): Promise<void> {
  const names = await namesOf(options, archiveFiles.deleted)
  await writeFile(`${options.folder}/${goneList}`, joined(names.filter(isGone)))
}

async function namesOf({ folder }: UnpackOptions, list: string): Promise<string[]> {
  const text = await readFile(`${folder}/${list}`, 'latin1').catch(() => '')
  return text.split('\0').filter((name) => name !== '')
}

function joined(names: readonly string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')
}

async function keep(options: UnpackOptions, list: string, tar: string, recursion: boolean): Promise<void> {
  if ((await sizeOf(options, list)) === 0) return
  const names = await open(`${options.folder}/${list}`, 'r')
  const output = await open(`${options.folder}/${tar}`, 'w', 0o600)
  try {
    // A name that does not exist here, the common case, is no failure; a full disk is one.
    await createArchive(enterArgv(options.pid, ...createArguments({ recursion })), {
      ...options,
      stdio: ['ignore', output.fd, 'pipe', names.fd],
    })
  } finally {
    await names.close()
    await output.close()
  }
}

/** Removes each name of a NUL-separated list that exists. */
async function removeNames(options: UnpackOptions, list: string, tests: string[]): Promise<void> {
  if ((await sizeOf(options, list)) === 0) return
  const names = await open(`${options.folder}/${list}`, 'r')
  try {
    const argv = toolArgv('find', '-files0-from', '/proc/self/fd/3', ...tests)
    // 1: a name that is not there (any more), or a folder that is not empty, or a mount point.
    await mustRun(enterArgv(options.pid, ...argv), {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe', names.fd],
      okCodes: [0, 1],
    })
  } finally {
    await names.close()
  }
}

async function extract(options: UnpackOptions, tar: string, exceptListed = false): Promise<void> {
  if ((await sizeOf(options, tar)) === 0) return
  const inputs = await Promise.all(
    [tar, ...(exceptListed ? [exceptList] : [])].map((name) => open(`${options.folder}/${name}`, 'r')),
  )
  const [input, names] = inputs.map(({ fd }) => fd)
  try {
    // The pages of a tmpfs (/dev/shm, a volume in memory) belong to whoever writes them first, for as long as the file is there.
    await mustRun(enterChargedArgv(options.pid, ...extractArguments({ exceptListed })), {
      ...options,
      stdio: [input ?? 'ignore', 'pipe', 'pipe', ...(names === undefined ? [] : [names])],
    })
  } finally {
    await Promise.all(inputs.map((file) => file.close()))
  }
}

/** How many files the archive holds. */
async function namesIn({ folder }: UnpackOptions): Promise<number> {
  const list = await readFile(`${folder}/${archiveFiles.list}`).catch(() => Buffer.alloc(0))
  let names = 0
  for (let end = list.indexOf(0); end >= 0; end = list.indexOf(0, end + 1)) names++
  return names
}

async function sizeOf(options: UnpackOptions, name: string): Promise<number> {
  return (await stat(`${options.folder}/${name}`).catch(() => ({ size: 0 }))).size
}

function linesOf(names: ReadonlySet<string>): Buffer {
  return Buffer.from([...names].map((name) => `${name}\n`).join(''), 'latin1')
}
