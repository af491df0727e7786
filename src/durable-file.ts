/**
 * Files and folders that survive a loss of power: data is synced before its name appears, and the folder that holds
 * the name after (fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing
 * the file has also reached disk").
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

export const folderMode = 0o700
export const fileMode = 0o600

/** Runs with an open file and closes it, whatever happens. */
export async function withFile<T>(
  path: string,
  flags: number,
  use: (file: FileHandle) => Promise<T>,
  mode: number = fileMode,
): Promise<T> {
  const file = await open(path, flags, mode)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

/** A new file, durable when this resolves but for its name in the folder. Fails with EEXIST rather than overwrite. */
export async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  await withFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, async (file) => {
    await file.writeFile(bytes)
    await file.sync()
  })
}

/**
 * Replaces a file as a whole: a reader sees the old content or the new, after a crash too.
 * @param temporary name in the same folder for the time of writing; a crash leaves it behind
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  temporary: string = resolve(dirname(path), `.new-${randomBytes(6).toString('hex')}`),
): Promise<void> {
  try {
    await writeNewFile(temporary, bytes)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Makes the names in a folder durable: those that appeared and those that went. */
export async function syncFolder(path: string): Promise<void> {
  await withFile(path, constants.O_RDONLY | constants.O_DIRECTORY, (folder) => folder.sync())
}

/** Makes a folder with its parents, for this user alone, and makes each new name durable. */
export async function makeFolder(path: string): Promise<void> {
  const topmostMade = await mkdir(path, { recursive: true, mode: folderMode })
  if (topmostMade === undefined) return
  for (let made = resolve(path); ; made = dirname(made)) {
    await syncFolder(dirname(made))
    if (made === resolve(topmostMade)) return
  }
}
