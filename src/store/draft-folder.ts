/**
 * A folder inside the store for a checkpoint that is still being made, so that `put` gives its files a second name instead of
 * copying them. Copying is what a checkpoint spends most of its time on (bench/cycle.ts): every page goes through memory twice
 * more, and fills as much page cache again. Its name is that of a partial: a later prune removes it when its maker is dead.
 */
import { mkdir, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { folderMode } from '../durable-file.ts'
import { partialName } from './slot-folder.ts'
import { ownWriterMark } from './writer-mark.ts'

/**
 * statfs(2) magic numbers of file systems on a block device or in memory: a write goes to the page cache, as fast as anywhere. On any
 * other (NFS, CIFS, FUSE) a dump would make the frozen application wait for the network.
 */
const localFileSystems: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x01021994, // tmpfs
])

/** Undefined where a folder outside the store serves better. */
export async function makeDraftFolder(
  slotFolder: string,
  id: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!isLocalFileSystem((await statfs(slotFolder)).type)) return undefined
  const folder = join(slotFolder, partialName(`${id}.draft`, ownWriterMark()))
  signal.throwIfAborted()
  await mkdir(folder, { mode: folderMode })
  // Nobody hears of it any more.
  if (signal.aborted) await rmdir(folder)
  signal.throwIfAborted()
  return folder
}

export function isLocalFileSystem(type: number): boolean {
  return localFileSystems.has(type)
}
