/** Removes checkpoints, and the files that dead writers and removers left. */
import { lstat, readdir, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { syncFolder } from '../durable-file.ts'
import { isTrash, partialName, trashName, writerOfPartial } from './slot-folder.ts'
import { ownWriterMark, writerState } from './writer-mark.ts'

/**
 * Gives each checkpoint a hidden name first, in one durable step, and then removes it: no half-deleted checkpoint is ever listed, whenever
 * the remover dies. Returns the ids that this call removed, not those that another process removed first.
 */
export async function removeCheckpoints(
  slotFolder: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const removed: string[] = []
  for (const id of ids) {
    signal.throwIfAborted()
    if (await discard(slotFolder, id, signal)) removed.push(id)
  }
  return removed
}

/**
 * @param abandonedAfterMs a partial of a writer elsewhere is abandoned after so long without a change; the partial of a dead writer is
 *   removed at once. A live writer whose partial is removed fails and harms nothing.
 */
export async function sweepLeftovers(
  slotFolder: string,
  abandonedAfterMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (const name of await readdir(slotFolder)) {
    signal.throwIfAborted()
    if (isTrash(name)) await removeTree(join(slotFolder, name), signal)
    const writer = writerOfPartial(name)
    if (writer === undefined) continue
    const state = writerState(writer)
    const abandoned =
      state === 'dead' || (state === 'elsewhere' && (await idleMs(slotFolder, name)) > abandonedAfterMs)
    if (abandoned) await discard(slotFolder, name, signal)
  }
}

async function discard(slotFolder: string, name: string, signal: AbortSignal): Promise<boolean> {
  const trash = join(slotFolder, trashName(name))
  try {
    await rename(join(slotFolder, name), trash)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  await syncFolder(slotFolder)
  await removeTree(trash, signal)
  return true
}

/**
 * One call after the other, since a slow one keeps its thread. What an abort leaves is swept later. Two processes may remove the same tree at
 * once: what the other one removes first is no error.
 */
async function removeTree(path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const isFolder = await goneOr(lstat(path).then((stat) => stat.isDirectory()))
  if (isFolder === undefined) return
  if (!isFolder) return goneOr(unlink(path))
  for (const name of (await goneOr(readdir(path))) ?? []) await removeTree(join(path, name), signal)
  await goneOr(rmdir(path))
}

async function goneOr<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The time since the last change in a partial, by the clock of the store: that of a file server may differ from the node's. */
async function idleMs(slotFolder: string, name: string): Promise<number> {
  const probe = join(slotFolder, partialName('clock', ownWriterMark()))
  await writeFile(probe, '')
  try {
    return (await lstat(probe)).mtimeMs - (await newestTouchMs(join(slotFolder, name)))
  } finally {
    await rm(probe, { force: true })
  }
}

/** The latest modification in a tree; infinite for a tree that has vanished, so that it is left alone. */
async function newestTouchMs(path: string): Promise<number> {
  try {
    const stat = await lstat(path)
    if (!stat.isDirectory()) return stat.mtimeMs
    const inside = (await readdir(path)).map((entry) => newestTouchMs(join(path, entry)))
    return Math.max(stat.mtimeMs, ...(await Promise.all(inside)))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Number.POSITIVE_INFINITY
    throw error
  }
}
