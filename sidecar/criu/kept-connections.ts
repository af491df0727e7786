/**
 * TCP connections of the stopped tree with itself: their queues are written beside the images, and with them they come back
 * (tcp-connections.ts). Best effort: a connection that is not saved comes back closed, as those to the outside do.
 */
import { readFile, readdir, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { EventLog } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { mustRun } from '../proc/command.ts'
import { fileEntriesOf, rewriteFilesImage, withEntriesChanged } from './image-entries.ts'
import { connectionsIn, insideOf, isAddressOf, peerKeyOf, withStates, type Connection } from './tcp-connections.ts' // prettier-ignore
import { tcpTable } from './tcp-table.ts'

/** Reading takes some 0.1 ms for each; the launcher waits one second at most for what is under way. */
// @deadline The connections of a stopped application are not read | They come back closed
const readingMs = 10_000
/** A command line has room for some 20,000 more. */
const mostRead = 10_000

/** What becomes of the TCP connections at a restore. All but `kept` come back closed. */
export type ConnectionCount = {
  /** Both ends are in the application, or the other end has closed it. */
  kept: number
  /** The other end is not in the pod. */
  outside: number
  /** The other end belongs to another container of the pod. */
  neighbours: number
  /** The other end is in nobody’s hands: the application has not accepted it, or its last owner has gone. */
  unaccepted: number
  /** Both ends are in the application, and were not read. */
  unread: number
}

export type KeepOptions = {
  imagesFolder: string
  /** The processes of the tree. */
  pids: readonly number[]
  signal: AbortSignal
  log: EventLog
}

/** Never throws. @returns undefined where there is no connection */
export async function keepConnections(options: KeepOptions): Promise<ConnectionCount | undefined> {
  const { imagesFolder, log } = options
  try {
    const image = await readFile(`${imagesFolder}/files.img`)
    const connections = connectionsIn(fileEntriesOf(image))
    if (connections.length === 0) return undefined
    const isOwn = isAddressOf(podAddresses())
    const { pairs, halves } = insideOf(connections, isOwn)
    const inside: Connection[][] = [...pairs, ...halves.map((half) => [half])]
    if (inside.length > 0) await save(inside, options)
    const kept = await savedInodes(imagesFolder)
    const count = countOf(connections, kept.size, isOwn, await tcpTable())
    const rest = count.outside + count.neighbours + count.unaccepted + count.unread
    log.info(
      { event: 'images.connections', ...count },
      `${kept.size} TCP connections are kept, ${rest} are not`,
    )
    return count
  } catch (error) {
    log.warn(
      { event: 'images.connections_unread', err: error },
      'TCP connections inside the application will come back closed',
    )
    return undefined
  }
}

/** This pod's addresses: the sidecar is in its network. */
export function podAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
}

/** Inodes, as in the names that CRIU gives to these images: in hex. */
export async function savedInodes(imagesFolder: string): Promise<Set<number>> {
  const names = (await readdir(imagesFolder)).map((name) => /^tcp-stream-([0-9a-f]+)\.img$/.exec(name)?.[1])
  return new Set(names.filter((name) => name !== undefined).map((name) => Number.parseInt(name, 16)))
}

async function save(inside: readonly Connection[][], options: KeepOptions): Promise<void> {
  const { imagesFolder, pids, signal, log } = options
  const holders = await holdersOf(pids, new Set(inside.flat().map(({ inode }) => inode)))
  const words = inside
    .filter((ends) => ends.every(({ inode }) => holders.has(inode)))
    .slice(0, mostRead)
    .map((ends) => ends.map((end) => `${end.inode}:${end.state}:${holders.get(end.inode)}`).join(','))
  if (words.length === 0) return
  const argv = [volumePaths.launcher, 'connections', `--images=${imagesFolder}`, '--', ...words]
  const { stdout, stderr } = await mustRun(argv, { log, deadlineMs: readingMs, signal })
  if (stderr !== '')
    log.debug({ event: 'images.connections_unread', stderr }, 'not all connections were read')
  const newer = [...stdout.matchAll(/^(\d+) (\d+)$/gm)].map(
    ([, inode, state]) => [Number(inode), Number(state)] as const,
  )
  if (newer.length === 0) return
  const states = new Map(newer)
  await rewriteFilesImage(imagesFolder, (image) =>
    withEntriesChanged(image, (entry) => withStates(entry, states)),
  )
}

/** `PID:FD` of one holder, by inode. */
async function holdersOf(pids: readonly number[], inodes: ReadonlySet<number>): Promise<Map<number, string>> {
  const holders = new Map<number, string>()
  for (const pid of pids)
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      const inode = Number(/^socket:\[(\d+)\]$/.exec(target)?.[1])
      if (inodes.has(inode)) holders.set(inode, `${pid}:${fd}`)
    }
  return holders
}

/**
 * @param connections all that the images name
 * @param kept how many of them are saved
 * @param table the pod's sockets, with the inodes of those that somebody holds
 */
export function countOf(
  connections: readonly Connection[],
  kept: number,
  isOwn: (address: string) => boolean,
  table: ReadonlyMap<string, number>,
): ConnectionCount {
  const { pairs, halves, others } = insideOf(connections, isOwn)
  const unread = pairs.length * 2 + halves.length - kept
  const count: ConnectionCount = { kept, outside: 0, neighbours: 0, unaccepted: 0, unread }
  const held = new Set(connections.map(({ inode }) => inode))
  for (const one of others) {
    const peer = table.get(peerKeyOf(one)) ?? 0
    // One with itself or over an address of a link has both its ends here, and is not read.
    if (!isOwn(one.target)) count.outside++
    else if (peer === 0) count.unaccepted++
    else if (held.has(peer)) count.unread++
    else count.neighbours++
  }
  return count
}
