/**
 * An SQLite database that was open in the checkpoint is another inode in this pod, and SQLite remembers the old one (open-databases.ts). While
 * the restored tree stands still, its memory is told the new one. The 16 bytes of device and inode are changed only where they
 * are SQLite's: where a pointer to them is followed by the descriptor of the file, as in `unixFile`.
 */
import { stat } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import { notedDatabases, type FileId, type OpenDatabase } from '../files/open-databases.ts'
import { findInMemory, writeMemory } from '../proc/process-memory.ts'
import { treeInContainer } from '../proc/process-tree.ts'

/** A gigabyte of memory takes about a second, once for the numbers and once for the pointers. */
// @deadline SQLite’s inodes are not found in the memory | It may refuse to write to a database that is open
const deadlineMs = 20_000

export type Moved = { fd: number; was: FileId; is: FileId }

/** Never throws: a program that has to open its database anew is worth more than none. */
export async function fitDatabases(
  imagesFolder: string,
  { root, launcherPid }: { root: number; launcherPid: number },
  signal: AbortSignal,
  log: EventLog,
): Promise<void> {
  try {
    const noted = await notedDatabases(imagesFolder)
    if (noted.length === 0) return
    const within = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
    let databases = 0
    // List and root come from the store, which others may write: no process of another container is touched.
    for (const pid of await treeInContainer(root, launcherPid)) {
      const own = noted.filter((one) => one.pid === pid)
      const moved = (await Promise.all(own.map(movedTo))).filter((one) => one !== undefined)
      if (moved.length > 0) databases += await tellMoved(pid, moved, within)
    }
    log.debug(
      { event: 'restore.databases_fitted', databases },
      'SQLite was told the new numbers of its files',
    )
  } catch (error) {
    log.warn(
      { event: 'restore.databases_unfitted', err: error },
      'SQLite may refuse to write to a database that was open in the checkpoint',
    )
  }
}

/** @returns undefined where the file is what it was, as on a volume that both pods have mounted */
async function movedTo({ pid, fd, dev, ino }: OpenDatabase): Promise<Moved | undefined> {
  const is = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined)
  if (is === undefined || !is.isFile() || (is.dev === dev && is.ino === ino)) return undefined
  return { fd, was: { dev, ino }, is: { dev: is.dev, ino: is.ino } }
}

/** @returns in how many places */
export async function tellMoved(pid: number, moved: readonly Moved[], signal: AbortSignal): Promise<number> {
  const ids = await findInMemory(pid, moved.map(({ was }) => idBytes(was)), signal) // prettier-ignore
  const candidates = moved.flatMap(({ fd, is }, index) => (ids[index] ?? []).map((address) => ({ address, fd, is }))) // prettier-ignore
  if (candidates.length === 0) return 0
  const uses = await findInMemory(pid, candidates.map(({ address, fd }) => useBytes(address, fd)), signal) // prettier-ignore
  const confirmed = candidates.filter((_, index) => (uses[index] ?? []).length > 0)
  const writes = new Map(confirmed.map(({ address, is }) => [address, idBytes(is)]))
  await writeMemory(pid, [...writes].map(([address, bytes]) => ({ address, bytes }))) // prettier-ignore
  return writes.size
}

/** `struct unixFileId { dev_t dev; u64 ino; }`, with which `unixInodeInfo` begins. */
function idBytes({ dev, ino }: FileId): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(dev, 0)
  bytes.writeBigUInt64LE(ino, 8)
  return bytes
}

/** Within `struct unixFile`: `unixInodeInfo *pInode; int h;`. */
function useBytes(address: number, fd: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeBigUInt64LE(BigInt(address), 0)
  bytes.writeInt32LE(fd, 8)
  return bytes
}
