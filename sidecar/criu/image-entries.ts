/** The frame of CRIU's images: a magic number, then entries, each after its length (criu/image.c, criu/protobuf.c). */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'

/** criu/include/magic.h: IMG_COMMON_MAGIC, and FILES_MAGIC, PSTREE_MAGIC or TTY_INFO_MAGIC. */
const magic = {
  files: Buffer.from('1943565438313056', 'hex'),
  processes: Buffer.from('1943565430302750', 'hex'),
  terminals: Buffer.from('1943565436304559', 'hex'),
} as const
const magicLength = 8

/** @throws Error for what is no image of files, or cut short */
export function fileEntriesOf(image: Buffer): Generator<Buffer> {
  return entriesOf(image, 'files')
}

/** @throws Error for what is no image of this kind, or cut short */
export function* entriesOf(image: Buffer, kind: keyof typeof magic): Generator<Buffer> {
  if (!image.subarray(0, magicLength).equals(magic[kind]))
    throw new Error(`it does not begin as an image of ${kind}`)
  for (let at = magicLength; at < image.length;) {
    const end = image.length < at + 4 ? Number.POSITIVE_INFINITY : at + 4 + image.readUInt32LE(at)
    if (end > image.length) throw new Error('its last entry is cut short')
    yield image.subarray(at + 4, end)
    at = end
  }
}

/**
 * @param change returns undefined for an entry that stays as it is
 * @returns undefined where every entry stays
 * @throws Error for what is no image of this kind, or cut short
 */
export function withEntriesChanged(
  image: Buffer,
  change: (entry: Buffer) => Buffer | undefined,
  kind: keyof typeof magic = 'files',
): { image: Buffer; changed: number } | undefined {
  const parts: Buffer[] = []
  let changed = 0
  // Most of a hundred thousand entries stay: they are taken over in long pieces.
  let [at, kept] = [magicLength, 0]
  for (const entry of entriesOf(image, kind)) {
    const other = change(entry)
    if (other !== undefined) {
      parts.push(image.subarray(kept, at), lengthOf(other), other)
      kept = at + 4 + entry.length
      changed++
    }
    at += 4 + entry.length
  }
  return changed === 0 ? undefined : { image: Buffer.concat([...parts, image.subarray(kept)]), changed }
}

/**
 * Changes a dump's `files.img`.
 * @returns how many entries were changed
 */
export function rewriteFilesImage(imagesFolder: string, change: Change): Promise<number> {
  return rewriteEntries(`${imagesFolder}/files.img`, change)
}

type Change = (image: Buffer) => { image: Buffer; changed: number } | undefined

/** The same for any image of entries. */
export async function rewriteEntries(file: string, change: Change): Promise<number> {
  let changed = 0
  await rewriteImage(file, (image) => {
    const rewritten = change(image)
    changed = rewritten?.changed ?? 0
    return rewritten?.image
  })
  return changed
}

/**
 * Changes an image of one message.
 * @param magicLength of the numbers that it begins with, in bytes
 * @param change returns undefined for a message that stays as it is
 * @throws Error for what is cut short
 */
export function rewriteOnlyMessage(
  file: string,
  magicLength: number,
  change: (message: Buffer) => Buffer | undefined,
): Promise<boolean> {
  return rewriteImage(file, (image) => {
    const start = magicLength + 4
    if (image.length < start || image.length !== start + image.readUInt32LE(magicLength))
      throw new Error(`${file} is no image of one message`)
    const message = change(image.subarray(start))
    return message === undefined
      ? undefined
      : Buffer.concat([image.subarray(0, magicLength), lengthOf(message), message])
  })
}

/** The file is replaced, never written to: in a store's own draft folder it is a second name of the stored one. */
async function rewriteImage(file: string, change: (image: Buffer) => Buffer | undefined): Promise<boolean> {
  const draft = `${file}.new`
  try {
    const rewritten = change(await readFile(file))
    if (rewritten === undefined) return false
    await writeFile(draft, rewritten, { mode: 0o600 })
    await rename(draft, file)
    return true
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw error
  }
}

function lengthOf(entry: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(entry.length)
  return length
}
