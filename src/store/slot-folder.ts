/**
 * Where a slot lies under a store's root, and what the names in it mean:
 *
 *     <root>/<lineage>/<container>/<id>/manifest.json    a checkpoint, complete
 *                                  <id>/files/…          its files
 *                                  record.json           the slot's record
 *                                  .<what>.partial-<writer>-<random>   being written
 *                                  .<id>.trash-<random>                being deleted
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

/** The slot's folder, or undefined when it does not exist. A symbolic link on the way is refused. */
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
 * One folder's name for any text, different for different texts. What Kubernetes allows in names stays readable and
 * `/` becomes `+`; a name never begins with a dot, which is kept for what is not a checkpoint. Texts too long for a
 * file name end in their hash, set off by `~`, which nothing else becomes.
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
