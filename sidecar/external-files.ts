/**
 * Files on volumes that outlive the pod are not archived. Before a checkpoint is restored each that the application held is compared
 * with what was recorded of it (ephemeral/external-verdict.ts). Only what is provably the application's own append is cut off: it is
 * moved to a file beside, at the last moment, and put back if the restore comes to nothing.
 */
import { constants } from 'node:fs'
import { lstat, open, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { describeError, ReprieveError } from '../src/errors.ts'
import type { ExternalFile } from '../src/manifest.ts'
import type { ExternalFilesChoice } from '../src/pod-plan.ts'
import { databaseMarks, isDatabaseContent, isDatabaseName } from './ephemeral/database-files.ts'
import { judgeFile, type FoundFile, type Verdict } from './ephemeral/external-verdict.ts'
import { printOf, sampleOf } from './ephemeral/file-print.ts'
import { mountOf } from './ephemeral/mounts.ts'

const mostTails = 1_000

/** Where the files are: seen from a process of the container. */
export type ExternalPlace = {
  pid: number
  mountPoints: readonly string[]
  /** Mount points of volumes that outlive the pod. */
  external: readonly string[]
  /** Milliseconds since the epoch by which nothing of the old pod wrote any more: the start of this container. */
  sinceMs: number
}

/** A tail that was cut off: of which file, where it is now, and what the file was cut to. */
export type Cut = { path: string; tail: string; cutBytes: number; keptBytes: number }

/**
 * @returns the files of which a tail is to be cut off
 * @throws ReprieveError `unfit-files` when the checkpoint does not fit the files any more, naming each that does not
 */
export async function requireFitFiles(
  place: ExternalPlace,
  files: readonly ExternalFile[],
  choice: ExternalFilesChoice,
): Promise<ExternalFile[]> {
  const problems: string[] = []
  const grown: ExternalFile[] = []
  for (const file of files) {
    const verdict = await judge(place, file, choice).catch((error): Verdict => ({
      do: 'unfit',
      why: describeError(error),
    }))
    if (verdict.do === 'unfit') problems.push(`${file.path}: ${verdict.why}`)
    else if (verdict.do === 'cut') grown.push(file)
  }
  if (problems.length === 0) return grown
  const shown = problems.slice(0, mostShown).join('; ')
  const more = problems.length > mostShown ? `; and ${problems.length - mostShown} more` : ''
  throw new ReprieveError(
    'unfit-files',
    `files on volumes that outlive the pod do not fit the checkpoint: ${shown}${more}`,
    { problems },
  )
}

const mostShown = 8

async function judge(
  place: ExternalPlace,
  file: ExternalFile,
  choice: ExternalFilesChoice,
): Promise<Verdict> {
  if (!place.external.includes(mountOf(file.path, place.mountPoints)))
    return { do: 'unfit', why: 'it no longer lies on a volume that outlives the pod' }
  return judgeFile(file, await find(place, file), choice)
}

async function find(place: ExternalPlace, recorded: ExternalFile): Promise<FoundFile> {
  try {
    return await withFile(place.pid, recorded.path, constants.O_RDONLY, async ({ file, folder, name }) => {
      const stats = await file.stat({ bigint: true })
      if (!stats.isFile()) return { kind: 'other' }
      const print = printOf(stats)
      const { sizeBytes, held } = recorded
      const isSampled = held?.sample !== undefined && print.sizeBytes >= sizeBytes
      const sampled = isSampled ? await sampleOf(file, sizeBytes) : undefined
      return {
        kind: 'file',
        ...print,
        ...(sampled === undefined ? {} : { sample: sampled.sample }),
        guarded: (await beginsAsDatabase(file)) || (await isBesideDatabase(folder, name)),
        busy: Number(BigInt(print.modifiedNs) / 1_000_000n) > place.sinceMs,
      }
    })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return { kind: 'missing' }
    // A link, a folder that has become a file, a folder, a socket.
    if (['ELOOP', 'ENOTDIR', 'EISDIR', 'ENXIO'].includes(code ?? '')) return { kind: 'other' }
    throw error
  }
}

async function beginsAsDatabase(file: FileHandle): Promise<boolean> {
  const beginning = Buffer.alloc(16)
  const { bytesRead } = await file.read(beginning, 0, beginning.length, 0)
  return isDatabaseContent(beginning.subarray(0, bytesRead))
}

async function isBesideDatabase(folder: FileHandle, name: string): Promise<boolean> {
  if (isDatabaseName(name)) return true
  for (const mark of databaseMarks(name)) if (await exists(`/proc/self/fd/${folder.fd}/${mark}`)) return true
  return false
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/**
 * Moves what each file holds behind its recorded size to `<path>.reprieve-tail-<id>` (`.2`, …), synced before the file is cut. `cuts` grows as it
 * goes, so that what was done can be put back whatever happens.
 */
export async function cutTails(
  pid: number,
  files: readonly ExternalFile[],
  checkpointId: string,
  cuts: Cut[],
): Promise<void> {
  for (const { path, sizeBytes } of files)
    await withFile(pid, path, constants.O_RDWR, async (found) => {
      const { size } = await found.file.stat()
      if (size <= sizeBytes) return
      const tail = await copyTail(found, sizeBytes, size, checkpointId)
      cuts.push({ path, tail: `${dirname(path)}/${tail}`, cutBytes: size - sizeBytes, keptBytes: sizeBytes })
      await found.file.truncate(sizeBytes)
    })
}

/** Puts the tails back behind files that nobody has written to since. A tail that cannot be stays beside its file. */
export async function putBackTails(pid: number, cuts: readonly Cut[]): Promise<Error[]> {
  const failures: Error[] = []
  for (const { path, tail, cutBytes, keptBytes } of cuts)
    try {
      await withFile(pid, path, constants.O_RDWR, async ({ file, folder }) => {
        const { size } = await file.stat()
        if (size === keptBytes + cutBytes)
          return rm(`/proc/self/fd/${folder.fd}/${basename(tail)}`, { force: true })
        if (size !== keptBytes) throw new Error(`${path} has ${size} bytes, not ${keptBytes}`)
        await withFile(pid, tail, constants.O_RDONLY, (from) =>
          copyFrom(from.file, file, { start: 0, end: cutBytes, at: keptBytes }),
        )
        await file.sync()
        await rm(`/proc/self/fd/${folder.fd}/${basename(tail)}`)
      })
    } catch (error) {
      failures.push(new Error(`${tail} was not put back`, { cause: error }))
    }
  return failures
}

type Opened = { file: FileHandle; folder: FileHandle; name: string }

/** Opens the file, never through a symbolic link. */
async function withFile<Out>(
  pid: number,
  path: string,
  access: number,
  work: (opened: Opened) => Promise<Out>,
): Promise<Out> {
  const folder = await openBeneath(`/proc/${pid}/root`, dirname(path))
  try {
    // Without O_NONBLOCK a pipe that somebody put in its place could hold us up.
    const flags = access | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const name = basename(path)
    const file = await open(`/proc/self/fd/${folder.fd}/${name}`, flags)
    try {
      return await work({ file, folder, name })
    } finally {
      await file.close()
    }
  } finally {
    await folder.close()
  }
}

async function copyTail(
  { file, folder, name }: Opened,
  start: number,
  end: number,
  checkpointId: string,
): Promise<string> {
  const { name: tail, handle } = await newTail(folder, `${name}.reprieve-tail-${checkpointId}`)
  try {
    const { mode, uid, gid } = await file.stat()
    await copyFrom(file, handle, { start, end, at: 0 })
    await handle.chmod(mode & 0o777)
    await handle.chown(uid, gid)
    await handle.sync()
  } catch (error) {
    // The file itself is whole still: half a copy of its tail beside it would only mislead.
    await rm(`/proc/self/fd/${folder.fd}/${tail}`, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  await folder.sync()
  return tail
}

/** A file of its own for each tail: a checkpoint that is restored twice must not cost what it cut off the first time. */
async function newTail(folder: FileHandle, name: string): Promise<{ name: string; handle: FileHandle }> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  for (let count = 1; ; count++) {
    const numbered = count === 1 ? name : `${name}.${count}`
    try {
      return { name: numbered, handle: await open(`/proc/self/fd/${folder.fd}/${numbered}`, flags, 0o600) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || count >= mostTails) throw error
    }
  }
}

type Range = { start: number; end: number; at: number }

/** Copies the bytes from `start` to `end` of one file to `at` of the other. */
async function copyFrom(from: FileHandle, to: FileHandle, { start, end, at: target }: Range): Promise<void> {
  const buffer = Buffer.alloc(Math.min(1 << 20, end - start))
  for (let at = start; at < end;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new Error('it shrank while its tail was read')
    // A write may be short (a full disk, a quota): the next one then says why.
    for (let done = 0; done < bytesRead;)
      done += (await to.write(buffer, done, bytesRead - done, target + at - start + done)).bytesWritten
    at += bytesRead
  }
}

/**
 * Opens a folder of another mount namespace component by component, never through a symbolic link: an absolute one would be
 * resolved against our own root, and a hostile application could have us cut files of ours.
 */
async function openBeneath(root: string, path: string): Promise<FileHandle> {
  let at = await open(root, constants.O_RDONLY | constants.O_DIRECTORY)
  for (const component of path.split('/').filter((name) => name !== '')) {
    if (component === '..') throw new Error('its path holds ..')
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
    const next = await open(`/proc/self/fd/${at.fd}/${component}`, flags).finally(() => at.close())
    at = next
  }
  return at
}
