/** Fetches the files of a checkpoint and compares every byte with the manifest before anyone uses it. */
import { constants } from 'node:fs'
import { lstat, mkdir, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { folderMode, withFile } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import { requireManifest } from '../manifest-codec.ts'
import type { CheckpointManifest, StoredFile } from '../manifest.ts'
import { streamHashed, writerTo, type Write } from './hashed-stream.ts'
import { limitedParallel } from './limited-parallel.ts'
import { linked } from './link.ts'
import { filesName } from './slot-folder.ts'
import { foldersOf } from './source-tree.ts'

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants
const filesAtOnce = 2

/** The files and folders made so far, newest last, to be removed if the fetch fails. */
type Made = { files: string[]; folders: string[] }

/**
 * @param checkpoint the checkpoint's folder in the store
 * @param targetDir in a draft folder of the same slot each file is a second name of the store's own, elsewhere it is a copy
 * @throws ReprieveError `checkpoint-corrupt`; this call then leaves nothing in `targetDir`
 */
export async function fetchCheckpoint(
  checkpoint: string,
  manifest: CheckpointManifest,
  targetDir: string,
  signal: AbortSignal,
): Promise<void> {
  requireManifest(manifest)
  const made: Made = { files: [], folders: [] }
  // The draft folder of the same slot lies in a gate.
  const shares = dirname(dirname(dirname(targetDir))) === dirname(checkpoint)
  try {
    await requireFolder(checkpoint, manifest.id)
    await limitedParallel(manifest.files, filesAtOnce, signal, (file) =>
      withStored(checkpoint, manifest.id, file, () => Promise.resolve()),
    )
    await makeFolders(targetDir, manifest.files, made)
    const transfer = { id: manifest.id, checkpoint, targetDir, made }
    await limitedParallel(manifest.files, filesAtOnce, signal, (file, either) =>
      withStored(checkpoint, manifest.id, file, async (source) =>
        shares && (await linkFile(transfer, source, file))
          ? verify(transfer, source, { file, target: undefined }, either)
          : fetchFile(transfer, source, file, either),
      ),
    )
  } catch (error) {
    // A checkpoint that was pruned meanwhile lacks files, but is not corrupt.
    const pruned = error instanceof ReprieveError && error.code === 'checkpoint-corrupt'
    const cause = pruned
      ? await requireFolder(checkpoint, manifest.id).then(
          () => error,
          (gone: unknown) => gone,
        )
      : error
    await takeBack(made)
    throw cause
  }
}

async function requireFolder(checkpoint: string, id: string): Promise<void> {
  try {
    if ((await lstat(checkpoint)).isDirectory()) return
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  throw new ReprieveError('store-failed', `checkpoint ${id} is not in the store (any more)`, { id })
}

/** Opens a stored file and compares its kind and size, which costs nothing, before it reads anything. */
async function withStored(
  checkpoint: string,
  id: string,
  { path, sizeBytes }: StoredFile,
  use: (source: FileHandle) => Promise<void>,
): Promise<void> {
  let opened = false
  try {
    await withFile(join(checkpoint, filesName, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, async (source) => {
      opened = true
      const stat = await source.stat()
      if (!stat.isFile()) throw corrupt(id, path, 'is not a regular file')
      if (stat.size !== sizeBytes) throw corrupt(id, path, `has ${stat.size} bytes instead of ${sizeBytes}`)
      await use(source)
    })
  } catch (error) {
    const errno = errnoOf(error)
    if (!opened && (errno === 'ENOENT' || errno === 'ENOTDIR')) throw corrupt(id, path, 'is missing', error)
    if (!opened && (errno === 'ELOOP' || errno === 'ENXIO'))
      throw corrupt(id, path, 'is not a regular file', error)
    throw error
  }
}

/** One fetch, common to all its files. */
type Transfer = { id: string; checkpoint: string; targetDir: string; made: Made }

async function fetchFile(
  { id, targetDir, made }: Transfer,
  source: FileHandle,
  file: StoredFile,
  signal: AbortSignal,
): Promise<void> {
  const to = join(targetDir, file.path)
  await withFile(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, async (target) => {
    made.files.push(to)
    await verify({ id }, source, { file, target: writerTo(target) }, signal)
  })
}

async function linkFile(
  { checkpoint, targetDir, made }: Transfer,
  source: FileHandle,
  { path }: StoredFile,
): Promise<boolean> {
  const to = join(targetDir, path)
  const done = await linked(join(checkpoint, filesName, path), to, await source.stat())
  if (done) made.files.push(to)
  return done
}

/** Reads and compares the whole file, and writes it to the target where there is one. */
async function verify(
  { id }: Pick<Transfer, 'id'>,
  source: FileHandle,
  { file, target }: { file: StoredFile; target: Write | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { path, sizeBytes, sha256 } = file
  const read = await streamHashed(source, target, sizeBytes, signal)
  if (read.sizeBytes !== sizeBytes) throw corrupt(id, path, 'changed its size while it was read')
  if (read.sha256 !== sha256) throw corrupt(id, path, `has SHA-256 ${read.sha256} instead of ${sha256}`)
}

async function makeFolders(targetDir: string, files: readonly StoredFile[], made: Made): Promise<void> {
  if ((await mkdir(targetDir, { recursive: true, mode: folderMode })) !== undefined)
    made.folders.push(targetDir)
  for (const folder of foldersOf(files.map(({ path }) => path))) {
    const path = join(targetDir, folder)
    try {
      await mkdir(path, { mode: folderMode })
      made.folders.push(path)
    } catch (error) {
      // An existing folder is accepted. A symbolic link is not: it would lead the files elsewhere.
      if (errnoOf(error) !== 'EEXIST' || !(await lstat(path)).isDirectory()) throw error
    }
  }
}

async function takeBack(made: Made): Promise<void> {
  for (const file of made.files) await rm(file, { force: true })
  for (const folder of made.folders.toReversed()) {
    try {
      await rmdir(folder)
    } catch (error) {
      // Another process has put something into the folder, or has removed it: it is not this call's any more.
      if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'ENOENT') throw error
    }
  }
}

function corrupt(id: string, path: string, what: string, cause?: unknown): ReprieveError {
  return new ReprieveError('checkpoint-corrupt', `checkpoint ${id}: ${path} ${what}`, { id, path }, cause)
}
