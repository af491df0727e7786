/**
 * Objects as files below a folder: of a disk, a claim, NFS. An object is written under a temporary name beside its own, synced, and then
 * given its name. A temporary name begins with `~`, which no key has; what a killed writer leaves under one is no object.
 */
import { constants } from 'node:fs'
import { lstat, open, rm, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder, syncFolder } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import { listFolder } from './list-folder.ts'
import { attempted } from './file-failure.ts'
import { checkKey, checkPrefix } from './keys.ts'
import { nameFile, temporaryPath } from './name-file.ts'
import type { Objects } from './objects.ts'
import { checkRange, damaged, existsAlready, missing, type Range } from './outcomes.ts'

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants

/** What one call of the kernel may move: the signal is looked at in between. */
const mostAtOnce = 8 << 20

/** @param name of the store, for messages @param path the folder, made if missing */
export function createDirectoryObjects({ name, path: root }: { name: string; path: string }): Objects {
  return {
    async put(key, body, { signal, ifAbsent = false }) {
      checkKey(key)
      // ENOENT: another writer removed the folder while it was empty.
      const call = { store: name, action: `put the object ${key}`, signal, again: ['ENOENT', 'ESTALE'] }
      await attempted(call, () => put(root, key, { body, ifAbsent, signal }))
    },

    async get(key, { signal, range }) {
      checkKey(key)
      checkRange(range)
      // ESTALE: the file was removed or replaced on its server while it was open here.
      const call = { store: name, action: `get the object ${key}`, signal, again: ['ESTALE'] }
      return attempted(call, () => get(root, key, { signal, range }))
    },

    async *list(prefix, { signal }) {
      checkPrefix(prefix)
      yield* listFolder({ store: name, root, prefix, signal })
    },

    async remove(keys, { signal }) {
      keys.forEach(checkKey)
      const folders = new Set<string>()
      for (const key of keys) {
        const call = { store: name, action: `remove the object ${key}`, signal, again: ['ESTALE'] }
        if (await attempted(call, () => remove(root, key))) folders.add(dirname(key))
      }
      for (const folder of folders) {
        const call = { store: name, action: `sync the folder ${folder}`, signal, again: ['ESTALE'] }
        await attempted(call, () => syncAndTidy(root, folder))
      }
    },
  }
}

type Put = { body: readonly Uint8Array[]; ifAbsent: boolean; signal: AbortSignal }

async function put(root: string, key: string, { body, ifAbsent, signal }: Put): Promise<void> {
  const path = join(root, key)
  await refuseLinks(root, key)
  await makeFolder(dirname(path))
  const temporary = temporaryPath(path)
  const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    await writeAll(file, body, signal)
    await file.sync()
    signal.throwIfAborted()
    if (!(await nameFile(file, { temporary, path, replace: !ifAbsent }))) throw existsAlready(key)
  } finally {
    await file.close()
    await rm(temporary, { force: true })
  }
  await syncFolder(dirname(path))
}

async function writeAll(file: FileHandle, body: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
  for (const part of body)
    for (let at = 0; at < part.length;) {
      signal.throwIfAborted()
      at += (await file.write(part, at, Math.min(part.length - at, mostAtOnce))).bytesWritten
    }
}

async function get(
  root: string,
  key: string,
  { signal, range }: { signal: AbortSignal; range: Range | undefined },
): Promise<Buffer> {
  await refuseLinks(root, key)
  const file = await openedObject(join(root, key))
  if (file === undefined) throw missing(key)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw missing(key)
    const wanted = range ?? { start: 0, length: stat.size }
    // Before memory is asked for: a damaged index may ask for anything.
    if (wanted.start + wanted.length > stat.size) throw damaged(key, `it has ${stat.size} bytes, and ${wanted.length} from byte ${wanted.start} on were wanted`) // prettier-ignore
    return await readRange(file, key, wanted, signal)
  } finally {
    await file.close()
  }
}

async function openedObject(path: string): Promise<FileHandle | undefined> {
  try {
    // O_NONBLOCK: opening a pipe that stands in the object's place does not wait for a writer.
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw error
  }
}

async function readRange(file: FileHandle, key: string, range: Range, signal: AbortSignal): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(range.length)
  for (let at = 0; at < range.length;) {
    signal.throwIfAborted()
    const length = Math.min(range.length - at, mostAtOnce)
    const { bytesRead } = await file.read(bytes, at, length, range.start + at)
    if (bytesRead === 0) throw damaged(key, `it ended at byte ${range.start + at} while it was read`)
    at += bytesRead
  }
  return bytes
}

async function remove(root: string, key: string): Promise<boolean> {
  await refuseLinks(root, key)
  try {
    await unlink(join(root, key))
    return true
  } catch (error) {
    // EISDIR: the key is a part of others, and no object.
    if (isAbsence(error) || errnoOf(error) === 'EISDIR') return false
    throw error
  }
}

/** Makes the removal durable, and removes the folders that are empty now, up to the root. */
async function syncAndTidy(root: string, folder: string): Promise<void> {
  for (let at = folder; at !== '.'; at = dirname(at)) {
    try {
      await syncFolder(join(root, at))
      await rmdir(join(root, at))
    } catch (error) {
      if (isAbsence(error)) continue
      if (['ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(errnoOf(error) ?? '')) return
      throw error
    }
  }
  await syncFolder(root)
}

/** A symbolic link among the folders of a key would lead out of the store. What is a link at the key itself is not followed. */
async function refuseLinks(root: string, key: string): Promise<void> {
  for (let folder = dirname(key); folder !== '.'; folder = dirname(folder)) {
    try {
      if ((await lstat(join(root, folder))).isSymbolicLink())
        throw new ReprieveError('key-invalid', `the folder ${folder} of the object ${key} is a symbolic link`, { key }) // prettier-ignore
    } catch (error) {
      if (!isAbsence(error)) throw error
    }
  }
}

function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')
}
