/** The chunks that a lineage has already, by name. */
import { fetchIndex, fetchManifest, listIds, type Lineage } from './lineage-objects.ts'
import type { PackUse } from './manifest.ts'

/** Where a chunk lies: known at once for what the store has, when its pack is begun for what is new. */
export type Slot = { use: PackUse; ordinal: number }

/** A damaged checkpoint or pack is left out: its chunks are then written anew. */
export async function knownChunks(at: Lineage, signal: AbortSignal): Promise<Map<string, Slot>> {
  const uses = new Map<string, PackUse>()
  for (const id of await listIds(at, signal)) {
    const manifest = await fetchManifest(at, id, signal).catch(() => undefined)
    signal.throwIfAborted()
    for (const use of manifest?.packs ?? []) uses.set(use.id, use)
  }
  const known = new Map<string, Slot>()
  for (const use of uses.values()) {
    const pack = await fetchIndex(at, use, signal).catch(() => undefined)
    signal.throwIfAborted()
    for (const [ordinal, entry] of pack?.entries.entries() ?? [])
      known.set(entry.name.toString('hex'), { use, ordinal })
  }
  return known
}
