/**
 * What an application has appended behind a checkpoint is moved to a file beside, and put back if the restore comes to nothing. Nothing
 * is ever lost by it: the tail is durable before its file is cut.
 */
import { constants } from 'node:fs'
import { open, rm, statfs, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ExternalFile } from '../../src/manifest.ts'
import { printOf, type FilePrint } from './file-print.ts'
import { withFile, type Opened } from './open-beneath.ts'

const mostTails = 1_000

/** A tail that was cut off: of which file, where it is now, and what the file was cut to. `done`: the file was cut, not only copied. */
export type Cut = { path: string; tail: string; cutBytes: number; keptBytes: number; done: boolean }

/** A file of which a tail is to be cut, and how it was when that was decided. */
export type Growth = ExternalFile & { seen: FilePrint }

export type CutOptions = { checkpointId: string; signal: AbortSignal }

/**
 * Moves what each file holds behind its recorded size to `<path>.reprieve-tail-<id>` (`.2`, …). All tails are durable before the first file is cut,
 * and a file is cut only if it is still the one that was judged, unchanged: what another writer adds meanwhile would be in neither.
 * `cuts` grows as it goes, so that what was done can be put back whatever happens.
 * @throws Error where a file has changed, or the signal has aborted: nothing is cut then that was not cut before
 */
export async function cutTails(
  pid: number,
  files: readonly Growth[],
  cuts: Cut[],
  { checkpointId, signal }: CutOptions,
): Promise<void> {
  for (const { path, sizeBytes, seen } of files)
    await withFile(pid, path, constants.O_RDWR, async (found) => {
      await requireAsSeen(found.file, path, seen)
      await requireRoomFor(found.folder, path, seen.sizeBytes - sizeBytes)
      const tail = await copyTail(found, { start: sizeBytes, end: seen.sizeBytes, checkpointId, signal })
      cuts.push({ path, tail: `${dirname(path)}/${tail}`, cutBytes: seen.sizeBytes - sizeBytes, keptBytes: sizeBytes, done: false }) // prettier-ignore
    })
  for (const [at, { path, sizeBytes, seen }] of files.entries())
    await withFile(pid, path, constants.O_RDWR, async ({ file }) => {
      await requireAsSeen(file, path, seen)
      signal.throwIfAborted()
      await file.truncate(sizeBytes)
      const cut = cuts[at]
      if (cut !== undefined) cut.done = true
    })
}

/** By inode, birth, time and size. @throws Error */
async function requireAsSeen(file: FileHandle, path: string, seen: FilePrint): Promise<void> {
  const now = printOf(await file.stat({ bigint: true }))
  const isSame = (['inode', 'bornNs', 'modifiedNs', 'sizeBytes'] as const).every(
    (key) => now[key] === seen[key],
  )
  if (!isSame) throw new Error(`${path} was changed while it was looked at`)
}

/** A volume may be shared: a tail, which may be sparse, must not fill it up. @throws Error */
async function requireRoomFor(folder: FileHandle, path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(`/proc/self/fd/${folder.fd}`)
  if (bavail * bsize < 2 * bytes)
    throw new Error(`beside ${path} there is no room for the ${bytes} bytes that were appended to it`)
}

/** Puts the tails back behind files that nobody has written to since. A tail that cannot be stays beside its file. */
export async function putBackTails(pid: number, cuts: readonly Cut[]): Promise<Error[]> {
  const failures: Error[] = []
  for (const cut of cuts) {
    const { path, tail, cutBytes, keptBytes, done } = cut
    try {
      await withFile(pid, path, constants.O_RDWR, async ({ file, folder }) => {
        // Only copied: the file is whole.
        if (!done) return rm(`/proc/self/fd/${folder.fd}/${basename(tail)}`, { force: true })
        const { size } = await file.stat()
        if (size !== keptBytes) throw new Error(`${path} has ${size} bytes, not ${keptBytes}`)
        await withFile(pid, tail, constants.O_RDONLY, (from) =>
          copyFrom(from.file, file, { start: 0, end: cutBytes, at: keptBytes }),
        )
        await file.sync()
        cut.done = false
        await rm(`/proc/self/fd/${folder.fd}/${basename(tail)}`)
      })
    } catch (error) {
      failures.push(new Error(`${tail} was not put back`, { cause: error }))
    }
  }
  return failures
}

async function copyTail(
  { file, folder, name }: Opened,
  { start, end, checkpointId, signal }: CutOptions & { start: number; end: number },
): Promise<string> {
  const { name: tail, handle } = await newTail(folder, `${name}.reprieve-tail-${checkpointId}`)
  try {
    const { mode, uid, gid } = await file.stat()
    await copyFrom(file, handle, { start, end, at: 0, signal })
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

type Range = { start: number; end: number; at: number; signal?: AbortSignal }

/** Copies the bytes from `start` to `end` of one file to `at` of the other. */
async function copyFrom(
  from: FileHandle,
  to: FileHandle,
  { start, end, at: target, signal }: Range,
): Promise<void> {
  const buffer = Buffer.alloc(Math.min(1 << 20, end - start))
  for (let at = start; at < end;) {
    signal?.throwIfAborted()
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new Error('it shrank while its tail was read')
    // A write may be short (a full disk, a quota): the next one then says why.
    for (let done = 0; done < bytesRead;)
      done += (await to.write(buffer, done, bytesRead - done, target + at - start + done)).bytesWritten
    at += bytesRead
  }
}
