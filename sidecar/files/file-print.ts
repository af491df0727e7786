/** What tells a file on a lasting volume from another one, and its content from a later one, for a few reads of bounded size. */
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type { HeldFile } from '../../src/manifest.ts'

export type FilePrint = Pick<HeldFile, 'inode' | 'bornNs' | 'modifiedNs'> & {
  sizeBytes: number
}

/**
 * The inode's number with the time of its birth, which no program can set and not every file system tells. Numbers of devices differ
 * by node (NFS), and the ctime changes where the kubelet gives a volume to its pod's group.
 */
export function printOf({ ino, size, birthtimeNs, mtimeNs }: BigIntStats): FilePrint {
  return {
    inode: String(ino),
    bornNs: String(birthtimeNs),
    modifiedNs: String(mtimeNs),
    sizeBytes: Number(size),
  }
}

/** Of a folder, to be compared as a whole. */
export function folderPrintOf({ ino, birthtimeNs }: BigIntStats): string {
  return `${ino} ${birthtimeNs}`
}

/** Of a folder that cannot be looked at. */
export const noFolder = '0 0'

/** Whether two prints are surely of one folder: many volumes have a root of the same inode. */
export function isSameFolder(one: string, other: string): boolean {
  return one === other && !one.endsWith(' 0')
}

/** A database notes a change at the beginning of a file (SQLite, LMDB), and an append changes the end. */
const beginningBytes = 16 << 10
const endBytes = 64 << 10

/** SHA-256 of the beginning and the end of the file's first `sizeBytes` bytes, and that beginning. @throws Error where it is shorter */
export async function sampleOf(
  file: FileHandle,
  sizeBytes: number,
): Promise<{ sample: string; beginning: Buffer }> {
  const beginning = await readExactly(file, 0, Math.min(beginningBytes, sizeBytes))
  const endStart = Math.max(beginning.length, sizeBytes - endBytes)
  const end = await readExactly(file, endStart, sizeBytes - endStart)
  const sample = createHash('sha256').update(beginning).update(end).digest('hex')
  return { sample, beginning }
}

async function readExactly(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done)
    if (bytesRead === 0) throw new Error('it is shorter than it was')
    done += bytesRead
  }
  return bytes
}
