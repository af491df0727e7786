/**
 * A folder inside the store for a checkpoint that is being made, so that `put` gives its files a second name instead of copying them.
 * Copying would take most of the time of a checkpoint (bench/cycle.ts): every page goes through memory twice more and fills as much page
 * cache again. The folder has the name of a partial in the writer's gate: a later prune removes it when its writer is dead.
 */
import { mkdir, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { folderMode } from '../durable-file.ts'
import { partialName } from './slot-folder.ts'
import { ownWriterMark } from './writer-mark.ts'

/**
 * The statfs(2) magic numbers of file systems on a block device or in memory, where a write only fills the page cache. On any other (NFS,
 * CIFS, FUSE) the stopped application would wait for the network during its dump.
 */
const localFileSystems: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x01021994, // tmpfs
])

/** Undefined where a folder outside the store is faster. */
export async function makeDraftFolder(
  gate: string,
  id: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!isLocalFileSystem((await statfs(gate)).type)) return undefined
  const folder = join(gate, partialName(`${id}.draft`, ownWriterMark()))
  signal.throwIfAborted()
  await mkdir(folder, { mode: folderMode })
  // The caller does not learn its name any more.
  if (signal.aborted) await rmdir(folder)
  signal.throwIfAborted()
  return folder
}

export function isLocalFileSystem(type: number): boolean {
  return localFileSystems.has(type)
}
