/**
 * Files on volumes that outlive the pod are not archived. Those that the application has open must have, at the restore,
 * the size they had at the dump (CRIU refuses "bad size" otherwise, criu#1258): what was appended since is moved to a file
 * beside them, so that the application appends again where it stood and nothing is lost.
 */
import { constants } from 'node:fs'
import { open, readdir, readlink, stat, type FileHandle } from 'node:fs/promises'
import { dirname, basename } from 'node:path'
import { describeError, ReprieveError } from '../src/errors.ts'
import type { ExternalFile } from '../src/manifest.ts'
import { mountOf } from './ephemeral/mounts.ts'

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

export type BroughtBack = { path: string; tail: string; cutBytes: number }

/**
 * Cuts each file that has grown back to its recorded size, after its tail was copied to `<path>.reprieve-tail-<id>` and synced.
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
  for (const { path, sizeBytes } of files) {
    try {
      if (!external.includes(mountOf(path, mountPoints)))
        throw new Error('it no longer lies on an external volume')
      const cutBytes = await bringBack(pid, path, sizeBytes, checkpointId)
      if (cutBytes > 0) brought.push({ path, tail: tailName(path, checkpointId), cutBytes })
    } catch (error) {
      problems.push(`${path}: ${describeError(error)}`)
    }
  }
  if (problems.length > 0)
    throw new ReprieveError(
      'restore-failed',
      `files on external volumes do not fit: ${problems.join('; ')}`,
      { problems },
    )
  return brought
}

function tailName(path: string, checkpointId: string): string {
  return `${path}.reprieve-tail-${checkpointId}`
}

async function bringBack(
  pid: number,
  path: string,
  sizeBytes: number,
  checkpointId: string,
): Promise<number> {
  const folder = await openBeneath(`/proc/${pid}/root`, dirname(path))
  try {
    const file = await open(
      `/proc/self/fd/${folder.fd}/${basename(path)}`,
      constants.O_RDWR | constants.O_NOFOLLOW,
    )
    try {
      const now = await file.stat()
      if (!now.isFile()) throw new Error('it is not a regular file any more')
      if (now.size < sizeBytes)
        throw new Error(`it has ${now.size} bytes, but had ${sizeBytes} at the checkpoint`)
      if (now.size === sizeBytes) return 0
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
      const tailPath = `/proc/self/fd/${folder.fd}/${basename(tailName(path, checkpointId))}`
      const tail = await open(tailPath, flags, now.mode & 0o777)
      try {
        await copyFrom(file, sizeBytes, now.size, tail)
        await tail.chown(now.uid, now.gid)
        await tail.sync()
      } finally {
        await tail.close()
      }
      await folder.sync()
      await file.truncate(sizeBytes)
      return now.size - sizeBytes
    } finally {
      await file.close()
    }
  } finally {
    await folder.close()
  }
}

async function copyFrom(from: FileHandle, start: number, end: number, to: FileHandle): Promise<void> {
  const buffer = Buffer.alloc(Math.min(1 << 20, end - start))
  for (let at = start; at < end;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new Error('it shrank while its tail was read')
    await to.write(buffer, 0, bytesRead)
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
