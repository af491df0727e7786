/** Reads everything of a lineage, and names what is damaged and which checkpoints that costs. */
import { ReprieveError, type ErrorCode } from '../errors.ts'
import { fetchIndex, fetchManifest, listIds, type Lineage } from './lineage-objects.ts'
import type { ChunkedManifest, PackUse } from './manifest.ts'
import { ordered } from './ordered.ts'
import { readChunk } from './read.ts'

export type Damage = { what: string; code: ErrorCode; message: string; checkpoints: readonly string[] }

type Found = { what: string; error: ReprieveError; costs: (manifest: ChunkedManifest) => boolean }

const ahead = 8

/** Every manifest, every index, and each chunk that a checkpoint needs, once. Other failures than damage are thrown. */
export async function verifyLineage(at: Lineage, signal: AbortSignal): Promise<Damage[]> {
  const damages: Damage[] = []
  const manifests: ChunkedManifest[] = []
  for (const id of await listIds(at, signal)) {
    const manifest = await damageOr(fetchManifest(at, id, signal))
    if (manifest instanceof ReprieveError) damages.push(damageOf(`the manifest ${id}`, manifest, [id]))
    else manifests.push(manifest)
  }
  const uses = new Map(manifests.flatMap(({ packs }) => packs.map((use) => [`${use.id} ${use.mac}`, use])))
  for (const use of uses.values()) {
    for (const { what, error, costs } of await verifyPack(at, use, { manifests, signal })) {
      const lost = manifests.filter(costs).map(({ id }) => id)
      damages.push(damageOf(what, error, lost))
    }
  }
  return damages
}

type Needs = { manifests: readonly ChunkedManifest[]; signal: AbortSignal }

async function verifyPack(at: Lineage, use: PackUse, { manifests, signal }: Needs): Promise<Found[]> {
  const index = await damageOr(fetchIndex(at, use, signal))
  if (index instanceof ReprieveError) {
    const costs = (manifest: ChunkedManifest) => manifest.packs.some(({ mac }) => mac === use.mac)
    return [{ what: `the pack ${use.id}`, error: index, costs }]
  }
  const needs = new Map(manifests.map((manifest) => [manifest, neededOf(manifest, use)]))
  const needed = new Set<number>()
  for (const ordinals of needs.values()) for (const ordinal of ordinals) needed.add(ordinal)
  const found: Found[] = []
  const read = async (ordinal: number) => ({
    ordinal,
    error: await damageOr(readChunk(at, index, ordinal, signal)),
  })
  for await (const { ordinal, error } of ordered(needed, ahead, read)) {
    if (!(error instanceof ReprieveError)) continue
    const costs = (manifest: ChunkedManifest) => needs.get(manifest)?.has(ordinal) === true
    found.push({ what: `chunk ${ordinal} of the pack ${use.id}`, error, costs })
  }
  return found
}

function neededOf(manifest: ChunkedManifest, use: PackUse): Set<number> {
  const number = manifest.packs.findIndex(({ id, mac }) => id === use.id && mac === use.mac)
  const needed = new Set<number>()
  for (const { parts } of manifest.files)
    for (const [pack, ordinal] of parts) if (ordinal !== undefined && pack === number) needed.add(ordinal)
  return needed
}

const damageCodes: ReadonlySet<ErrorCode> = new Set([
  'manifest-invalid',
  'object-missing',
  'store-damaged',
  'key-foreign',
  'store-newer',
  'store-replayed',
  'store-swapped',
  'store-truncated',
  'store-unsealed',
] as const)

async function damageOr<T>(reading: Promise<T>): Promise<T | ReprieveError> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof ReprieveError && damageCodes.has(error.code)) return error
    throw error
  }
}

function damageOf(what: string, { code, message }: ReprieveError, checkpoints: readonly string[]): Damage {
  return { what, code, message, checkpoints }
}
