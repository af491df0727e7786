import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCheckpointId } from '../checkpoint-id.ts'
import { describeError, ReprieveError, errnoOf } from '../errors.ts'
import { parseManifest } from '../manifest-codec.ts'
import { manifestLimits } from '../manifest-shape.ts'
import type { CheckpointManifest, Slot } from '../manifest.ts'
import { readBounded } from './read-bounded.ts'
import { manifestName } from './slot-folder.ts'
import type { UnreadableCheckpoint } from './store.ts'

/** Newest first. A checkpoint that disappears meanwhile is being pruned and is left out. */
export async function listCheckpoints(
  slotFolder: string,
  slot: Slot,
  signal: AbortSignal,
): Promise<{ manifests: CheckpointManifest[]; unreadable: UnreadableCheckpoint[] }> {
  const manifests: CheckpointManifest[] = []
  const unreadable: UnreadableCheckpoint[] = []
  for (const id of (await readdir(slotFolder)).filter(isCheckpointId).sort().toReversed()) {
    signal.throwIfAborted()
    try {
      manifests.push(await readManifest(slotFolder, id, slot))
    } catch (error) {
      if (await isGone(join(slotFolder, id))) continue
      unreadable.push({ id, reason: describeError(error) })
    }
  }
  return { manifests, unreadable }
}

async function readManifest(slotFolder: string, id: string, slot: Slot): Promise<CheckpointManifest> {
  if (!(await lstat(join(slotFolder, id))).isDirectory()) throw new Error('it is not a folder')
  const manifest = parseManifest(
    await readBounded(join(slotFolder, id, manifestName), manifestLimits.manifestBytes),
  )
  const { lineage, container } = manifest.slot
  if (manifest.id !== id || lineage !== slot.lineage || container !== slot.container) {
    const message = `its manifest is of ${manifest.id} of ${lineage}, container ${container}: it was moved here`
    throw new ReprieveError('manifest-invalid', message)
  }
  return manifest
}

async function isGone(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return false
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true
    throw error
  }
}
