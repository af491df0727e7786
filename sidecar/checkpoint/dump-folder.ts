/** Where a checkpoint's files are made: in the store's own draft folder where that costs the application nothing, else in staging. */
import { rm, stat, statfs } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { Slot } from '../../src/manifest.ts'
import type { Store } from '../../src/store/store.ts'
import { volumePaths } from '../../src/volume.ts'
import type { Terms } from './request.ts'
import { memoryOf, treeOf } from '../proc/process-tree.ts'

/** Making a folder takes milliseconds; the application may be standing still meanwhile, for its memory. */
// @deadline The store does not create a checkpoint's folder | It is created in the pod, and copied later
const draftDeadlineMs = 3_000

/** @returns a folder that exists, or is to be made in staging. @throws ReprieveError `store-failed`, at once where the store hangs */
export async function dumpFolder(
  store: Store,
  slot: Slot,
  id: string,
  request: Pick<Terms, 'afterwards' | 'deadline'>,
): Promise<string> {
  const staged = `${volumePaths.staging}/${slot.container}/${id}.dump`
  const signal = AbortSignal.timeout(Math.min(draftDeadlineMs, request.deadline.timerMs))
  // One that does not answer yet may when it is given the files.
  const draft = await store.draftFolder(slot, id, signal).catch((error: unknown) => {
    if (isSlow(error)) return undefined
    throw error
  })
  if (draft === undefined) return staged
  // What ends waits for the store in any case. What goes on must not stand still for a disk slower than the node's own.
  if (request.afterwards === 'end' || (await onOneDisk(draft, volumePaths.staging))) return draft
  await rm(draft, { recursive: true, force: true })
  return staged
}

/** Cut short, and not known to hang. */
function isSlow(error: unknown): boolean {
  return error instanceof ReprieveError && error.data.aborted === true && error.data.hangs !== true
}

async function onOneDisk(one: string, other: string): Promise<boolean> {
  return (await stat(one)).dev === (await stat(other)).dev
}

/**
 * A dump that fills the disk fails late and harms neighbours: refuse before freezing when it cannot fit.
 * @returns the bytes that are left for the files beside the memory, which are known only once all stands still
 */
export async function requireRoom(root: number, folder: string): Promise<number> {
  const needBytes = await memoryOf(await treeOf(root))
  const { bavail, bsize } = await statfs(folder)
  const freeBytes = bavail * bsize
  if (freeBytes >= needBytes) return freeBytes - needBytes
  throw new ReprieveError(
    'dump-failed',
    `${folder} has ${freeBytes} bytes free, the application's memory is ${needBytes}`,
  )
}
