/**
 * Writes a checkpoint under a hidden name in the writer's gate (epochs.ts), makes every byte durable, the manifest last, and then gives it
 * its name in one rename. A writer that is killed before the rename leaves a partial, which is never listed; after it, a complete
 * checkpoint. A writer that was overtaken has no gate any more, and the rename fails.
 */
import { constants } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileMode, folderMode, syncFolder, withFile, writeNewFile } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import { completeManifest, requireManifest, serializeManifest } from '../manifest-codec.ts'
import type { EventLog } from '../log.ts'
import type { CheckpointDraft, StoredFile } from '../manifest.ts'
import { withEarlySync } from './early-sync.ts'
import { streamHashed, type Write } from './hashed-stream.ts'
import { bothDone, limitedParallel } from './limited-parallel.ts'
import { linked } from './link.ts'
import { filesName, manifestName, partialName, trashName } from './slot-folder.ts'
import { foldersOf, listSourceFiles } from './source-tree.ts'
import type { PutResult } from './store.ts'
import { ownWriterMark } from './writer-mark.ts'

/**
 * `link-or-copy` gives each file a second name in the store where source and store are on one mount, as with a draft folder
 * (draft-folder.ts): only hashing and syncing remain, and the source must not change afterwards. Across mounts it copies.
 */
export type Transfer = 'link-or-copy' | 'copy'

type Spent = { hashMs: number; writeMs: number; syncMs: number }

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants
const filesAtOnce = 2

export async function putCheckpoint(
  place: { slotFolder: string; gate: string; transfer: Transfer; log: EventLog | undefined },
  draft: CheckpointDraft,
  sourceDir: string,
  signal: AbortSignal,
): Promise<PutResult> {
  const { slotFolder, gate, transfer, log } = place
  requireManifest(completeManifest(draft, []))
  const paths = await listSourceFiles(sourceDir, signal)
  const partial = join(gate, partialName(draft.id, ownWriterMark()))
  const final = join(slotFolder, draft.id)
  const spent: Spent = { hashMs: 0, writeMs: 0, syncMs: 0 }
  let written = partial
  try {
    const folders = ['', filesName, ...foldersOf(paths).map((folder) => join(filesName, folder))]
    for (const folder of folders) await mkdir(join(partial, folder), { mode: folderMode })
    const files = await limitedParallel(paths, filesAtOnce, signal, (path, either) =>
      storeFile({ path, sourceDir, filesFolder: join(partial, filesName) }, transfer, spent, either),
    )
    const manifest = completeManifest(draft, files)
    const bytes = serializeManifest(manifest)
    await timed(spent, 'syncMs', async () => {
      for (const folder of folders.slice(1)) await syncFolder(join(partial, folder))
      await writeNewFile(join(partial, manifestName), bytes)
      await syncFolder(partial)
      signal.throwIfAborted()
      await giveName(partial, final, draft.id)
      written = final
      await syncFolder(slotFolder)
    })
    // After an abort the caller may act as if the checkpoint did not exist (the application resumes): it must not appear.
    signal.throwIfAborted()
    return { manifest, ...spent }
  } catch (error) {
    await withdraw(written, join(gate, trashName(draft.id)), log)
    throw error
  }
}

async function storeFile(
  { path, sourceDir, filesFolder }: { path: string; sourceDir: string; filesFolder: string },
  transfer: Transfer,
  spent: Spent,
  signal: AbortSignal,
): Promise<StoredFile> {
  const from = join(sourceDir, path)
  const to = join(filesFolder, path)
  return withFile(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, async (source) => {
    const { size, ino, dev } = await source.stat()
    const stream = async (write: Write | undefined): Promise<StoredFile> => {
      const { sizeBytes, sha256, hashMs, writeMs } = await streamHashed(source, write, size, signal)
      spent.hashMs += hashMs
      spent.writeMs += writeMs
      if (sizeBytes !== size) {
        throw new ReprieveError('store-failed', `${from} changed while it was being stored`, {
          path,
          size,
          sizeBytes,
        })
      }
      return { path, sizeBytes, sha256 }
    }
    if (transfer === 'link-or-copy' && (await linked(from, to, { ino, dev }))) {
      // Linked data may not be on the disk yet: the thread pool syncs it while the main thread hashes.
      const [file] = await bothDone(
        stream(undefined),
        timed(spent, 'syncMs', () => source.datasync()),
      )
      return file
    }
    return withFile(
      to,
      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
      async (copy) => {
        const { result, syncMs } = await withEarlySync(copy, stream)
        spent.syncMs += syncMs
        return result
      },
      fileMode,
    )
  })
}

async function giveName(partial: string, final: string, id: string): Promise<void> {
  try {
    await rename(partial, final)
  } catch (error) {
    const taken =
      errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST' || errnoOf(error) === 'ENOTDIR'
    if (!taken) throw error
    throw new ReprieveError('store-failed', `the store already has a checkpoint ${id}`, { id }, error)
  }
}

/** Removes the files of a failed put, under a hidden name first: half a checkpoint must not be listed. */
async function withdraw(written: string, trash: string, log: EventLog | undefined): Promise<void> {
  try {
    await rename(written, trash)
    await rm(trash, { recursive: true })
  } catch (error) {
    // The caller must get the failure of the put itself; a later prune removes the files.
    if (errnoOf(error) !== 'ENOENT')
      log?.warn(
        { event: 'store.partial_left', err: error, path: written },
        'what a failed put wrote could not be removed',
      )
  }
}

async function timed<T>(spent: Spent, what: keyof Spent, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await work()
  } finally {
    spent[what] += performance.now() - began
  }
}
