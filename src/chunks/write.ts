/** A checkpoint into chunks: packs first, the manifest last. What the lineage has already is not written again. */
import { packChunk, type Packed } from './chunk.ts'
import { knownChunks, type Slot } from './known.ts'
import { manifestKey, type Lineage } from './lineage-objects.ts'
import { chunkedVersion, writeManifest, type About, type ChunkedManifest, type PackUse } from './manifest.ts'
import { ordered } from './ordered.ts'
import { PackWriter } from './pack-writer.ts'

export type SourceFile = {
  path: string
  bytes: number
  /** Lengths of its pieces, each at most 1 MiB, `bytes` together. */
  pieces: readonly number[]
  read: (start: number, length: number) => Promise<Buffer>
}

export type WriteOptions = { signal: AbortSignal; level: number; packBytes?: number }

/** Pieces on their way at a time: read, named, compressed. */
const ahead = 8
const usualPackBytes = 16 * 1024 * 1024

type Piece = { file: number; start: number; length: number }
type Named = { file: number; zeros: number } | { file: number; name: Buffer; length: number; packed?: Packed }

/** @throws ReprieveError `object-exists` if the id is taken */
export async function writeCheckpoint(
  at: Lineage,
  about: Omit<About, 'lineage'>,
  files: readonly SourceFile[],
  options: WriteOptions,
): Promise<ChunkedManifest> {
  const { signal, level } = options
  const began = performance.now()
  const known = await knownChunks(at, signal)
  const indexed = performance.now()
  const writer = new PackWriter(at, options.packBytes ?? usualPackBytes, signal)
  const begun = new Set(known.keys())
  const parts: (Slot | number)[][] = files.map(() => [])
  let newBytes = 0

  const nameAndPack = async ({ file, start, length }: Piece): Promise<Named> => {
    signal.throwIfAborted()
    const content = await files[file]?.read(start, length)
    if (content?.length !== length)
      throw new Error(`${files[file]?.path} ended before ${start + length} bytes`)
    if (isZero(content)) return { file, zeros: length }
    const name = at.seal.name(content)
    const key = name.toString('hex')
    if (begun.has(key)) return { file, name, length }
    begun.add(key)
    return { file, name, length, packed: await packChunk(content, level) }
  }

  for await (const named of ordered(piecesOf(files), ahead, nameAndPack)) {
    if ('zeros' in named) {
      parts[named.file]?.push(named.zeros)
      continue
    }
    const key = named.name.toString('hex')
    if (named.packed !== undefined) {
      known.set(key, await writer.add({ name: named.name, rawBytes: named.length, ...named.packed }))
      newBytes += named.length
    }
    const slot = known.get(key)
    // Of two equal pieces on their way, only the later one comes without its content, and it comes later.
    if (slot === undefined) throw new Error(`the chunk ${key} has no place`)
    parts[named.file]?.push(slot)
  }
  await writer.end()

  const packs = new Map<PackUse, number>()
  const numberOf = (use: PackUse) => packs.get(use) ?? (packs.set(use, packs.size), packs.size - 1)
  const stored = files.map(({ path, bytes }, file) => ({
    path,
    bytes,
    parts: (parts[file] ?? []).map((part) =>
      typeof part === 'number' ? ([part] as const) : ([numberOf(part.use), part.ordinal] as const),
    ),
  }))
  const manifest: ChunkedManifest = {
    ...about,
    lineage: at.lineage,
    version: chunkedVersion,
    keyId: at.seal.keyId,
    sizes: {
      contentBytes: files.reduce((sum, file) => sum + file.bytes, 0),
      newBytes,
      storedBytes: writer.storedBytes,
    },
    ms: { index: Math.round(indexed - began), write: Math.round(performance.now() - indexed) },
    packs: [...packs.keys()],
    files: stored,
  }
  const bytes = writeManifest(manifest, at.seal)
  await at.objects.put(manifestKey(at, about.id), [bytes], { signal, ifAbsent: true })
  return manifest
}

function* piecesOf(files: readonly SourceFile[]): Generator<Piece> {
  for (const [file, { pieces }] of files.entries()) {
    let start = 0
    for (const length of pieces) {
      yield { file, start, length }
      start += length
    }
  }
}

const zeros = Buffer.alloc(1024 * 1024)

function isZero(content: Buffer): boolean {
  return content.equals(zeros.subarray(0, content.length))
}
