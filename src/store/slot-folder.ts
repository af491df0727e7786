/**
 * The folder of a slot under the root of a store, and the meaning of the names in it:
 *
 *     <root>/<lineage>/<container>/<id>/manifest.json    a checkpoint, complete
 *                                  <id>/files/…          its files
 *                                  record.json           the slot's record
 *                                  claim                 the file of the slot lock
 *                                  epochs/               whose turn it is to write (epochs.ts), and in a writer's folder there:
 *                                      .<what>.partial-<writer>-<random>   being written
 *                                      .<id>.trash-<random>                being deleted
 */
import { createHash, randomBytes } from 'node:crypto'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../durable-file.ts'
import { ReprieveError, errnoOf } from '../errors.ts'
import type { Slot } from '../manifest.ts'

export const manifestName = 'manifest.json'
export const filesName = 'files'
export const recordName = 'record.json'
export const lockName = 'claim'

/** The folder of the slot, or undefined where it does not exist. A symbolic link in the path is refused. */
export async function findSlotFolder(root: string, slot: Slot): Promise<string | undefined> {
  let path = root
  for (const name of [slot.lineage, slot.container]) {
    path = join(path, encodeName(name))
    try {
      if (!(await lstat(path)).isDirectory())
        throw new ReprieveError('store-failed', `${path} is not a folder`, { path })
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }
  return path
}

export async function makeSlotFolder(root: string, slot: Slot): Promise<string> {
  const found = await findSlotFolder(root, slot)
  if (found !== undefined) return found
  const path = join(root, encodeName(slot.lineage), encodeName(slot.container))
  await makeFolder(path)
  return path
}

/**
 * The name of one folder for any text; different texts get different names. The characters that Kubernetes allows in names stay readable,
 * and `/` becomes `+`. A name never begins with a dot, which marks everything that is not a checkpoint. A text that is too long for a
 * file name ends in its hash after a `~`, which appears in no other name.
 */
export function encodeName(text: string): string {
  const encoded = [...Buffer.from(text)]
    .map((byte, index) => {
      const char = String.fromCharCode(byte)
      if (char === '/') return '+'
      return /[A-Za-z0-9_-]/.test(char) || (char === '.' && index > 0)
        ? char
        : `%${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
  if (encoded === '') return '%'
  if (encoded.length <= 200) return encoded
  return `${encoded.slice(0, 120)}~${createHash('sha256').update(text).digest('hex')}`
}

export function partialName(what: string, writer: string): string {
  return `.${what}.partial-${writer}-${randomBytes(4).toString('hex')}`
}

export function trashName(what: string): string {
  return `.${what.replace(/^\.+/, '').slice(0, 100)}.trash-${randomBytes(4).toString('hex')}`
}

/** The writer of a partial name, see writer-mark.ts. */
export function writerOfPartial(name: string): string | undefined {
  return /^\..*\.partial-([^-]+)-[0-9a-f]{8}$/.exec(name)?.[1]
}

export function isTrash(name: string): boolean {
  return /^\..*\.trash-[0-9a-f]{8}$/.test(name)
}
