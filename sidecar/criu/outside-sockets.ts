/**
 * Unix sockets whose other end is outside the tree: a neighbour container's, by a volume that they share. CRIU dumps such a half where it is
 * told of (`--external unix[inode]`), and cannot connect it again at a restore: the neighbour is a new one (criu#2359). In the images it
 * is made a connection whose other end has closed it. What had arrived is read; then comes the end of the file, and a program connects
 * again, as it does when its peer is restarted.
 */
import { readFile, readdir, readlink } from 'node:fs/promises'
import { treeOf } from '../proc/process-tree.ts'
import { fileEntriesOf, rewriteFilesImage, withEntriesChanged } from './image-entries.ts'
import { encodeNumber, fieldsOf, withMessagesChanged, type Field } from './protobuf.ts'

/** images/fdinfo.proto: how an entry begins, file_entry.type being UNIXSK, and file_entry.usk. */
const unixType = Buffer.from([8, 5])
const unixField = 16
/** images/sk-unix.proto */
const number = { inode: 2, type: 3, uflags: 6, peer: 8, shutdown: 12 } as const
/** criu/sk-unix.c, USK_EXTERN: it stands for the other end. */
const isOutside = 1
const datagram = 2
/** images/sk-opts.proto, SK_SHUTDOWN__BOTH. */
const shutBothWays = 3

/** A command line has room for some 30,000; which of more are outside CRIU says, and names the first. */
const mostTold = 10_000

/** Inodes of the connected unix sockets that the tree has: which of them lead outside is known only when all stands still. */
export async function connectedSockets(root: number): Promise<string[]> {
  const held = new Set<string>()
  for (const pid of await treeOf(root))
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
      if (inode !== undefined) held.add(inode)
    }
  const table = await readFile(`/proc/${root}/net/unix`, 'latin1').catch(() => '')
  // Num RefCount Protocol Flags Type St Inode Path; St 03 is connected (proc_pid_net(5)).
  const connected = [...table.matchAll(/^\S+: \S+ \S+ \S+ \S+ 03 +(\d+)/gm)].map(([, inode = '']) => inode)
  return connected.filter((inode) => held.has(inode)).slice(0, mostTold)
}

/**
 * @returns how many are closed
 * @throws Error where the images cannot be read or written: as they are they would not be restored
 */
export function closeOutsideSockets(imagesFolder: string): Promise<number> {
  return rewriteFilesImage(imagesFolder, withOutsideClosed)
}

export function withOutsideClosed(image: Buffer): { image: Buffer; changed: number } | undefined {
  const outside = new Set<number>()
  for (const entry of fileEntriesOf(image)) {
    if (!isUnix(entry)) continue
    for (const { number: field, bytes } of fieldsOf(entry)) {
      if (field !== unixField) continue
      const socket = fieldsOf(bytes)
      if (valueOf(socket, number.uflags) % 2 === isOutside) outside.add(valueOf(socket, number.inode))
    }
  }
  if (outside.size === 0) return undefined
  return withEntriesChanged(image, (entry) =>
    isUnix(entry) ? withMessagesChanged(entry, unixField, (socket) => closed(socket, outside)) : undefined,
  )
}

function closed(message: Buffer, outside: ReadonlySet<number>): Buffer | undefined {
  const socket = fieldsOf(message)
  if (!outside.has(valueOf(socket, number.peer))) return undefined
  const kept = socket.filter((field) => field.number !== number.peer && field.number !== number.shutdown)
  const parts = [...kept.map(({ raw }) => raw), encodeNumber(number.peer, 0)]
  // A datagram socket is merely connected to nothing any more.
  if (valueOf(socket, number.type) !== datagram) parts.push(encodeNumber(number.shutdown, shutBothWays))
  return Buffer.concat(parts)
}

function isUnix(entry: Buffer): boolean {
  return entry.subarray(0, unixType.length).equals(unixType)
}

function valueOf(fields: readonly Field[], field: number): number {
  return fields.find((one) => one.number === field)?.value ?? 0
}
