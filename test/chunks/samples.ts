/** Checkpoints made up from a seed, and lineages to keep them in. */
import { createHash } from 'node:crypto'
import { chunkBytes } from '../../src/chunks/pack.ts'
import { cutPlain } from '../../src/chunks/cut.ts'
import type { Lineage } from '../../src/chunks/lineage-objects.ts'
import { readCheckpoint } from '../../src/chunks/read.ts'
import { keyedSeal, unkeyedSeal } from '../../src/chunks/seal.ts'
import type { SourceFile } from '../../src/chunks/write.ts'
import { MemoryObjects } from './memory-objects.ts'

export const signal = new AbortController().signal
export const master = Buffer.alloc(32, 7)

export function lineageOf(sealed: boolean, objects = new MemoryObjects(), lineage = 'team/Job/train/0') {
  const seal = sealed ? keyedSeal(master, lineage) : unkeyedSeal
  return { objects, prefix: 'slot', lineage, seal } satisfies Lineage
}

/** Half of each piece is noise, half is text that compresses. */
export function content(seed: string, bytes: number): Buffer {
  const all = Buffer.alloc(bytes, 'as a memory has it ')
  let block = createHash('sha256').update(seed).digest()
  for (let at = 0; at < bytes; at += 64) {
    block = createHash('sha256').update(block).digest()
    block.copy(all, at, 0, Math.min(32, bytes - at))
  }
  return all
}

/** @param pieceBytes less than a chunk, so that a small file has many */
export function fileOf(path: string, all: Buffer, pieceBytes = chunkBytes): SourceFile {
  const pieces =
    pieceBytes === chunkBytes
      ? cutPlain(all.length)
      : Array.from({ length: Math.ceil(all.length / pieceBytes) }, (_, at) =>
          Math.min(pieceBytes, all.length - at * pieceBytes),
        )
  const read = async (start: number, length: number) => all.subarray(start, start + length)
  return { path, bytes: all.length, pieces, read }
}

export async function readAll(at: Lineage, id: string): Promise<Map<string, Buffer>> {
  const pieces = new Map<string, Buffer[]>()
  for await (const { path, content } of readCheckpoint(at, id, signal)) {
    const piece = 'zeros' in content ? Buffer.alloc(content.zeros) : content
    pieces.set(path, [...(pieces.get(path) ?? []), piece])
  }
  return new Map([...pieces].map(([path, all]) => [path, Buffer.concat(all)]))
}
