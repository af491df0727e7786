import type { FileHandle } from 'node:fs/promises'
import { writerTo, type Write } from './hashed-stream.ts'

/** Measured: 64 MiB takes a quarter off the time of storing 1 GiB, against one sync at the end. */
const earlyBytes = 64 << 20

/**
 * Writes a file that is sent to the disk while it is still being written, so that little is left for the last sync,
 * and few dirty pages weigh on the memory of the pod. When this resolves, all of it is on the disk.
 */
export async function withEarlySync<T>(
  file: Pick<FileHandle, 'write' | 'datasync'>,
  use: (write: Write) => Promise<T>,
): Promise<{ result: T; syncMs: number }> {
  const write = writerTo(file)
  // The kernel tells each write-back error once per descriptor (errseq_t): one that an early sync got must be kept.
  const failures: unknown[] = []
  let unsyncedBytes = 0
  let running: Promise<void> | undefined
  const start = async () => {
    try {
      await file.datasync()
    } catch (error) {
      failures.push(error)
    }
    running = undefined
  }
  let result: T
  try {
    result = await use(async (chunk, position) => {
      await write(chunk, position)
      unsyncedBytes += chunk.length
      if (unsyncedBytes < earlyBytes || running !== undefined) return
      unsyncedBytes = 0
      running = start()
    })
  } finally {
    // Not before the file is closed under it.
    await running
  }
  const began = performance.now()
  if (failures.length > 0) throw failures[0]
  await file.datasync()
  return { result, syncMs: performance.now() - began }
}
