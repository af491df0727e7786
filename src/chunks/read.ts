/** A checkpoint out of chunks. Nothing of a chunk is given out before its tag, its length and its name agree. */
import { ReprieveError } from '../errors.ts'
import { unpackChunk } from './chunk.ts'
import { fetchIndex, fetchManifest, packKey, type Lineage } from './lineage-objects.ts'
import type { ChunkedFile, ChunkedManifest, Part } from './manifest.ts'
import type { Pack } from './pack.ts'
import { ordered } from './ordered.ts'

export type Piece = { path: string; position: number; content: Buffer | { zeros: number } }

/** Chunks on their way at a time; each has at most 1 MiB, once stored and once expanded. */
const ahead = 8

/** Pieces in the order of the manifest. @throws ReprieveError by kind of damage */
export async function* readCheckpoint(
  at: Lineage,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Piece, ChunkedManifest> {
  const manifest = await fetchManifest(at, id, signal)
  const packs: Pack[] = []
  for (const use of manifest.packs) packs.push(await fetchIndex(at, use, signal))
  for (const file of manifest.files) yield* readFile({ at, packs, signal }, file)
  return manifest
}

type Reading = { at: Lineage; packs: readonly Pack[]; signal: AbortSignal }

async function* readFile(reading: Reading, file: ChunkedFile): AsyncGenerator<Piece> {
  let position = 0
  for await (const content of ordered(file.parts, ahead, (part) => readPart(reading, part))) {
    yield { path: file.path, position, content }
    position += 'zeros' in content ? content.zeros : content.length
  }
  if (position !== file.bytes) {
    throw new ReprieveError('store-damaged', `${file.path} has ${position} bytes, not ${file.bytes}`)
  }
}

async function readPart(reading: Reading, part: Part): Promise<Piece['content']> {
  const [number, ordinal] = part
  if (ordinal === undefined) return { zeros: number }
  const pack = reading.packs[number]
  if (pack === undefined) throw new ReprieveError('manifest-invalid', `there is no pack ${number}`)
  return readChunk(reading.at, pack, ordinal, reading.signal)
}

/** @throws ReprieveError by kind of damage */
export async function readChunk(
  at: Lineage,
  pack: Pack,
  ordinal: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const entry = pack.entries[ordinal]
  const start = pack.offsets[ordinal]
  const id = pack.id.toString('hex')
  if (entry === undefined || start === undefined) {
    throw new ReprieveError('manifest-invalid', `the pack ${id} has no chunk ${ordinal}`)
  }
  const range = { start, length: entry.storedBytes }
  const stored = await at.objects.get(packKey(at, id), { signal, range })
  if (stored.length !== range.length)
    throw new ReprieveError('store-truncated', `the pack ${id} is cut short`)
  const payload = at.seal.open(stored, { ...entry, pack: pack.id, ordinal })
  return unpackChunk(payload, entry, at.seal)
}
