/**
 * Files on volumes that outlive the pod are not archived. Those that the application has open must have, at the restore,
 * the size they had at the dump (CRIU refuses "bad size" otherwise, criu#1258): what was appended since is moved to a file
 * beside them, so that the application appends again where it stood and nothing is lost.
 */
import { constants } from 'node:fs'
import { open, readdir, readlink, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname, basename } from 'node:path'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { ExternalFile } from '../../src/manifest.ts'
import { mountOf } from './mounts.ts'

/** Regular files on external mounts that any of the processes has open, with their sizes now. */
export async function openExternalFiles(
  pids: readonly number[],
  mountPoints: readonly string[],
  external: readonly string[],
): Promise<ExternalFile[]> {
  if (external.length === 0) return []
  const found = new Map<string, number>()
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      if (
        !path.startsWith('/') ||
        path.endsWith(' (deleted)') ||
        !external.includes(mountOf(path, mountPoints))
      )
        continue
      const file = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined)
      if (file?.isFile()) found.set(path, file.size)
    }
  }
  return [...found].map(([path, sizeBytes]) => ({ path, sizeBytes }))
}

const mostTails = 1_000

export type BroughtBack = { path: string; tail: string; cutBytes: number }

/**
 * Cuts each file that has grown back to its recorded size, after its tail was copied to `<path>.reprieve-tail-<id>` (`.2`, …) and synced.
 * @throws ReprieveError `restore-failed` when a file is gone or shorter than it was: then the checkpoint cannot be restored.
 */
export async function bringBackExternalFiles(
  pid: number,
  files: readonly ExternalFile[],
  checkpointId: string,
  mountPoints: readonly string[],
  external: readonly string[],
): Promise<BroughtBack[]> {
  const brought: BroughtBack[] = []
  const problems: string[] = []
  const forEach = async (work: (file: ExternalFile) => Promise<void>) => {
    for (const file of files)
      await work(file).catch((error) => problems.push(`${file.path}: ${describeError(error)}`))
  }
  // Every file is looked at before the first is cut: a checkpoint that cannot be restored must not change any.
  await forEach(async ({ path, sizeBytes }) => {
    if (!external.includes(mountOf(path, mountPoints)))
      throw new Error('it no longer lies on an external volume')
    await withGrown(pid, path, sizeBytes, async () => undefined)
  })
  if (problems.length === 0)
    await forEach(async ({ path, sizeBytes }) => {
      const cut = await withGrown(pid, path, sizeBytes, (grown) => cutTail(grown, sizeBytes, checkpointId))
      if (cut !== undefined) brought.push({ path, tail: `${dirname(path)}/${cut.tail}`, cutBytes: cut.bytes })
    })
  if (problems.length > 0)
    throw new ReprieveError(
      'restore-failed',
      `files on external volumes do not fit: ${problems.join('; ')}`,
      { problems },
    )
  return brought
}

type Grown = { file: FileHandle; folder: FileHandle; name: string; sizeBytes: number }

/** Opens the file, never through a symbolic link, and hands it on if it has grown. @throws Error when it does not fit */
async function withGrown<Out>(
  pid: number,
  path: string,
  sizeBytes: number,
  work: (grown: Grown) => Promise<Out>,
): Promise<Out | undefined> {
  const folder = await openBeneath(`/proc/${pid}/root`, dirname(path))
  try {
    // Without O_NONBLOCK a pipe that somebody put in its place could hold us up.
    const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const file = await open(`/proc/self/fd/${folder.fd}/${basename(path)}`, flags)
    try {
      const now = await file.stat()
      if (!now.isFile()) throw new Error('it is not a regular file any more')
      if (now.size < sizeBytes)
        throw new Error(`it has ${now.size} bytes, but had ${sizeBytes} at the checkpoint`)
      if (now.size === sizeBytes) return undefined
      return await work({ file, folder, name: basename(path), sizeBytes: now.size })
    } finally {
      await file.close()
    }
  } finally {
    await folder.close()
  }
}

async function cutTail(
  { file, folder, name, sizeBytes }: Grown,
  keepBytes: number,
  checkpointId: string,
): Promise<{ tail: string; bytes: number }> {
  const { name: tail, handle } = await newTail(folder, `${name}.reprieve-tail-${checkpointId}`)
  try {
    const { mode, uid, gid } = await file.stat()
    await copyFrom(file, keepBytes, sizeBytes, handle)
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
  await file.truncate(keepBytes)
  return { tail, bytes: sizeBytes - keepBytes }
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

async function copyFrom(from: FileHandle, start: number, end: number, to: FileHandle): Promise<void> {
  const buffer = Buffer.alloc(Math.min(1 << 20, end - start))
  for (let at = start; at < end;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new Error('it shrank while its tail was read')
    // A write may be short (a full disk, a quota): the next one then says why.
    for (let done = 0; done < bytesRead;)
      done += (await to.write(buffer, done, bytesRead - done)).bytesWritten
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
