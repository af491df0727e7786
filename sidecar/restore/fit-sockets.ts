/**
 * Unix sockets whose file has another name than they were bound to: a server binds a name aside, and renames or links it to its place when it is
 * ready (supervisord, and what replaces a socket in one step). The kernel goes on to tell the first name, and CRIU binds to that
 * again; nobody would find the server at its place. Such a socket is bound to where its file was.
 */
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { archiveFiles } from '../files/archive.ts'
import { fileEntriesOf, rewriteFilesImage, withEntriesChanged } from '../criu/image-entries.ts'
import { encodeMessage, fieldsOf, withMessagesChanged, type Field } from '../criu/protobuf.ts'

/** images/fdinfo.proto: how an entry begins, file_entry.type being UNIXSK, and file_entry.usk. */
const unixType = Buffer.from([8, 5])
const unixField = 16
/** images/sk-unix.proto. A socket is deleted whose first name is gone, also where it has another one. */
const number = { name: 11, nameFolder: 14, deleted: 15 } as const

/** @returns how many names are changed */
export async function fitSockets(checkpoint: string): Promise<number> {
  const list = await readFile(`${checkpoint}/${archiveFiles.sockets}`, 'latin1').catch(() => '')
  const files = list.split('\0').filter((name) => name !== '')
  if (files.length === 0) return 0
  return rewriteFilesImage(`${checkpoint}/criu`, (image) => withPlaces(image, files))
}

/** @param files names of all socket files that the checkpoint's container had */
export function withPlaces(
  image: Buffer,
  files: readonly string[],
): { image: Buffer; changed: number } | undefined {
  const bound = new Map<string, boolean>()
  for (const entry of fileEntriesOf(image)) {
    if (!isUnix(entry)) continue
    for (const { number: field, bytes } of fieldsOf(entry)) {
      const socket = field === unixField ? fieldsOf(bytes) : []
      const name = nameOf(socket)
      if (name !== undefined) bound.set(name, socket.some((one) => one.number === number.deleted && one.value === 1)) // prettier-ignore
    }
  }
  const places = placesOf(bound, files)
  if (places.size === 0) return undefined
  return withEntriesChanged(image, (entry) =>
    isUnix(entry) ? withMessagesChanged(entry, unixField, (message) => placed(message, places)) : undefined,
  )
}

/**
 * Nothing tells for certain which file is whose. A file that no socket has as its name belongs to the one in the same folder whose name
 * begins with it, or it with that; and else to one that has some file, since its first name was not deleted.
 * @param bound whether the file is deleted, by the name that a socket was bound to
 */
function placesOf(bound: ReadonlyMap<string, boolean>, files: readonly string[]): Map<string, string> {
  const free = files.filter((file) => !bound.has(file))
  const places = new Map<string, string>()
  for (const [name, isDeleted] of bound) {
    if (files.includes(name)) continue
    const beside = free.filter((file) => dirname(file) === dirname(name))
    const alike = beside.filter((file) => name.startsWith(file) || file.startsWith(name))
    const [place, ...others] = alike.length === 0 && !isDeleted ? beside : alike
    if (place !== undefined && others.length === 0) places.set(name, place)
  }
  // A file that two sockets could have is nobody's.
  const all = [...places.values()]
  return new Map([...places].filter(([, place]) => all.indexOf(place) === all.lastIndexOf(place)))
}

function placed(message: Buffer, places: ReadonlyMap<string, string>): Buffer | undefined {
  const socket = fieldsOf(message)
  const place = places.get(nameOf(socket) ?? '')
  if (place === undefined) return undefined
  return Buffer.concat(
    socket.flatMap((field) => {
      if (field.number === number.deleted) return []
      if (field.number !== number.name) return [field.raw]
      const end = field.bytes.at(-1) === 0 ? '\0' : ''
      return [encodeMessage(number.name, Buffer.from(`${place}${end}`, 'latin1'))]
    }),
  )
}

/** @returns undefined for one without a file, or with a name that counts from the working directory of its process */
function nameOf(socket: readonly Field[]): string | undefined {
  if (socket.some((field) => field.number === number.nameFolder)) return undefined
  const name = socket
    .find((field) => field.number === number.name)
    ?.bytes.toString('latin1')
    .replace(/\0$/, '')
  return name?.startsWith('/') === true ? name : undefined
}

function isUnix(entry: Buffer): boolean {
  return entry.subarray(0, unixType.length).equals(unixType)
}
