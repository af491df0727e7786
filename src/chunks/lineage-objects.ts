/** The objects of one lineage, by name. */
import { ReprieveError } from '../errors.ts'
import type { Objects } from '../objects/objects.ts'
import { readManifest, type ChunkedManifest, type PackUse } from './manifest.ts'
import { idAtEnd, indexBytes, readIndex, type Pack } from './pack.ts'
import type { Seal } from './seal.ts'

export type Lineage = {
  objects: Objects
  /** Of the keys: ends without a slash. */
  prefix: string
  lineage: string
  seal: Seal
}

export const manifestKey = (at: Lineage, id: string) => `${at.prefix}/manifests/${id}`
export const packKey = (at: Lineage, id: string) => `${at.prefix}/packs/${id}`

/** The ids of complete checkpoints, in the order of the store. */
export async function listIds(at: Lineage, signal: AbortSignal): Promise<string[]> {
  const prefix = manifestKey(at, '')
  const ids: string[] = []
  for await (const { key } of at.objects.list(prefix, { signal })) ids.push(key.slice(prefix.length))
  return ids
}

/** @throws ReprieveError by kind of damage; `object-missing` */
export async function fetchManifest(at: Lineage, id: string, signal: AbortSignal): Promise<ChunkedManifest> {
  const bytes = await at.objects.get(manifestKey(at, id), { signal })
  return readManifest(bytes, at.seal, { id, lineage: at.lineage })
}

/** @throws ReprieveError by kind of damage; `object-missing` */
export async function fetchIndex(at: Lineage, use: PackUse, signal: AbortSignal): Promise<Pack> {
  const length = indexBytes(use.entries)
  const start = use.bytes - length
  const what = `the pack ${use.id}`
  if (start < 0) throw new ReprieveError('manifest-invalid', `${what} is smaller than its index`)
  const bytes = await at.objects.get(packKey(at, use.id), { signal, range: { start, length } })
  if (bytes.length !== length || idAtEnd(bytes) === undefined) await requireOwnId(at, use, signal)
  if (bytes.length !== length) throw new ReprieveError('store-truncated', `${what} is cut short`)
  const pack = readIndex(bytes, at.seal)
  if (pack.id.toString('hex') !== use.id) {
    throw new ReprieveError('store-swapped', `under the name of ${what} lies ${pack.id.toString('hex')}`)
  }
  if (pack.mac.toString('hex') !== use.mac) {
    throw new ReprieveError('store-replayed', `${what} is not the one that the checkpoint was written with`)
  }
  return pack
}

/** Another pack has another length, as a rule: its index is then not where this one's would be. */
async function requireOwnId(at: Lineage, use: PackUse, signal: AbortSignal): Promise<void> {
  const key = packKey(at, use.id)
  const length = indexBytes(0)
  for await (const found of at.objects.list(key, { signal })) {
    if (found.key !== key || found.bytes < length) continue
    const range = { start: found.bytes - length, length }
    const id = idAtEnd(await at.objects.get(key, { signal, range }))
    if (id !== undefined && id !== use.id)
      throw new ReprieveError('store-swapped', `under the name of the pack ${use.id} lies ${id}`)
  }
}
