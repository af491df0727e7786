/** Removes a slot whose checkpoints are gone, in one step, and looks then whether that is still so. */
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCheckpointId } from '../checkpoint-id.ts'
import { folderMode, syncFolder } from '../durable-file.ts'
import { errnoOf } from '../errors.ts'
import { partialName } from './slot-folder.ts'
import type { SlotPlace } from './slot-survey.ts'
import { ownWriterMark } from './writer-mark.ts'

/**
 * A sweep that stood still in between, on a file server that did not answer, was taken for dead: a pod has the slot by now, and may have stored a
 * checkpoint there. Without one, the pod takes its epoch anew (reclaimEpoch).
 *
 * @returns whether the slot was removed
 */
export async function removeEmptySlot({ root, lineage, container }: SlotPlace): Promise<boolean> {
  const folder = join(root, lineage, container)
  // As a partial of this process, which another sweep leaves alone while it lives.
  const aside = join(root, partialName(`${lineage}+${container}`.slice(0, 100), ownWriterMark()))
  await rename(folder, aside)
  if (!(await putBack(aside, folder))) {
    await rmdir(join(root, lineage)).catch(() => undefined)
    await rm(aside, { recursive: true, force: true, maxRetries: 3 })
    return true
  }
  return false
}

/** Exported for tests. @returns whether there was a checkpoint */
export async function putBack(aside: string, folder: string): Promise<boolean> {
  const ids = (await readdir(aside)).filter(isCheckpointId)
  if (ids.length === 0) return false
  await mkdir(join(folder, '..'), { recursive: true, mode: folderMode })
  try {
    // With the claim and the gate of its pod.
    await rename(aside, folder)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error
    // The pod has made the slot anew meanwhile.
    for (const id of ids) await rename(join(aside, id), join(folder, id))
    await rm(aside, { recursive: true, force: true, maxRetries: 3 })
  }
  await syncFolder(join(folder, '..'))
  return true
}
