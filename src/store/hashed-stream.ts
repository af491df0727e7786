/**
 * One pass over a file that reads, hashes and, if there is a target, writes it. While the main thread hashes a chunk, the thread pool
 * writes it and reads the next one, so the pass takes about as long as the slowest of the three. Hashing stays on the main thread:
 * SHA-256 of one file is sequential, a chunk of 1 MiB blocks the event loop for 0.7 ms (1.5 GB/s measured with SHA extensions), and a
 * worker would cost 10 MB and 30 ms without a gain for a single large file.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { bothDone } from './limited-parallel.ts'

/** Larger chunks are no faster when measured, and block the event loop longer. */
const chunkBytes = 1 << 20

export type Streamed = {
  /** The bytes read; more than `expectedBytes`, by up to a chunk, if the file is longer. */
  sizeBytes: number
  sha256: string
  /** The time in each kind of call. The calls overlap, so the sum may exceed the time of the pass. */
  readMs: number
  hashMs: number
  writeMs: number
}

/** Writes all of a chunk at a position of a file. */
export type Write = (chunk: Uint8Array, position: number) => Promise<void>

export function writerTo(file: Pick<FileHandle, 'write'>): Write {
  return async (chunk, position) => {
    // write(2) may write fewer bytes than asked.
    for (let done = 0; done < chunk.length;) {
      done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten
    }
  }
}

/** @throws the signal's reason within a chunk's time after it was aborted, or the file system's error */
export async function streamHashed(
  source: FileHandle,
  target: Write | undefined,
  expectedBytes: number,
  signal: AbortSignal,
): Promise<Streamed> {
  const hash = createHash('sha256')
  // One byte more than expected, so that one read detects a small file that is too long, and completes one that fits.
  const bufferBytes = Math.min(chunkBytes, expectedBytes + 1)
  let current = Buffer.allocUnsafeSlow(bufferBytes)
  let next = Buffer.allocUnsafeSlow(bufferBytes)
  const spent = { readMs: 0, hashMs: 0, writeMs: 0 }
  let offset = 0

  const read = async (into: Buffer, position: number) => {
    const began = performance.now()
    const { bytesRead } = await source.read(into, 0, into.length, position)
    spent.readMs += performance.now() - began
    return bytesRead
  }
  const write = async (chunk: Buffer, position: number) => {
    if (target === undefined) return
    const began = performance.now()
    await target(chunk, position)
    spent.writeMs += performance.now() - began
  }

  let count = await read(current, 0)
  while (count > 0) {
    signal.throwIfAborted()
    const chunk = current.subarray(0, count)
    const end = offset + count
    if (end > expectedBytes) {
      return { sizeBytes: end, sha256: '', ...spent }
    }
    const both = bothDone(read(next, end), write(chunk, offset))
    const began = performance.now()
    hash.update(chunk)
    spent.hashMs += performance.now() - began
    ;[count] = await both
    offset = end
    ;[current, next] = [next, current]
  }
  signal.throwIfAborted()
  return { sizeBytes: offset, sha256: hash.digest('hex'), ...spent }
}
