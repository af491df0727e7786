/** Removes checkpoints, and the files that dead writers and removers left. */
import { lstat, readdir, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { syncFolder } from '../durable-file.ts'
import { gatePath, isGate } from './epochs.ts'
import { isTrash, partialName, trashName, writerOfPartial } from './slot-folder.ts'
import { ownWriterMark, writerState } from './writer-mark.ts'

/**
 * Moves each checkpoint into the remover's gate first, in one durable step, and then removes it: no half-deleted checkpoint is ever listed,
 * whenever the remover dies, and one that was overtaken removes nothing. Returns the ids that this call removed, not those that another process removed first.
 */
export async function removeCheckpoints(
  slotFolder: string,
  gate: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const removed: string[] = []
  for (const id of ids) {
    signal.throwIfAborted()
    if (await discard(slotFolder, id, gate, signal)) removed.push(id)
  }
  return removed
}

/**
 * In a writer's gate, or in a slot that a release without gates wrote to.
 *
 * @param abandonedAfterMs a partial of a writer elsewhere is abandoned after so long without a change; the partial of a dead writer is
 *   removed at once. A live writer whose partial is removed fails and harms nothing.
 */
export async function sweepLeftovers(
  folder: string,
  abandonedAfterMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (const name of await readdir(folder)) {
    signal.throwIfAborted()
    if (isTrash(name)) await removeTree(join(folder, name), signal)
    const writer = writerOfPartial(name)
    if (writer === undefined) continue
    const state = writerState(writer)
    const abandoned =
      state === 'dead' || (state === 'elsewhere' && (await idleMs(folder, name)) > abandonedAfterMs)
    if (abandoned) await discard(folder, name, folder, signal)
  }
}

/** What dead writers left in the gates of a slot, and what later ones put out of those. */
export async function sweepGates(
  slotFolder: string,
  abandonedAfterMs: number,
  signal: AbortSignal,
): Promise<void> {
  const gates = await goneOr(readdir(gatePath(slotFolder, '')))
  for (const gate of gates === undefined ? [] : ['', ...gates.filter(isGate)])
    await goneOr(sweepLeftovers(gatePath(slotFolder, gate), abandonedAfterMs, signal))
}

async function discard(folder: string, name: string, into: string, signal: AbortSignal): Promise<boolean> {
  const trash = join(into, trashName(name))
  try {
    await rename(join(folder, name), trash)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && !(await isListed(folder, name))) return false
    throw error
  }
  await syncFolder(folder)
  await removeTree(trash, signal)
  return true
}

/** Otherwise the folder that it was to be moved into is gone. */
async function isListed(folder: string, name: string): Promise<boolean> {
  return (await readdir(folder)).includes(name)
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
async function idleMs(folder: string, name: string): Promise<number> {
  const probe = join(folder, partialName('clock', ownWriterMark()))
  await writeFile(probe, '')
  try {
    return (await lstat(probe)).mtimeMs - (await newestTouchMs(join(folder, name)))
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
