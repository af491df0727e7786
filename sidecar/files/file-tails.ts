/**
 * What an application has appended behind a checkpoint is moved to a file beside, and put back if the restore comes to nothing. Nothing
 * is ever lost by it: the tail is durable before its file is cut.
 */
import { constants } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ExternalFile } from '../../src/manifest.ts'
import { withFile, type Opened } from './open-beneath.ts'

const mostTails = 1_000

/** A tail that was cut off: of which file, where it is now, and what the file was cut to. */
export type Cut = { path: string; tail: string; cutBytes: number; keptBytes: number }

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
