/**
 * The TCP connections in a dump's `files.img`. One whose both ends are in the tree is kept where CRIU's image of its queues lies beside
 * (tcp-stream-INODE.img, launcher/connections). Every other one comes back closed: the program reads the end of the file.
 */
import { isIPv4 } from 'node:net'
import { rewriteOnlyMessage } from './image-entries.ts'
import { addressIn, isLinkLocal } from './pod-addresses.ts'
import { encodeNumber, fieldsOf, withMessagesChanged, type Field } from './protobuf.ts'

/** images/fdinfo.proto: how an entry of such a socket begins, file_entry.type being INETSK, and file_entry.isk. */
const inetType = Buffer.from([8, 4])
const inetField = 4
/** images/sk-inet.proto */
const number = { inode: 2, proto: 5, state: 6, sourcePort: 7, targetPort: 8, source: 11, target: 12, shutdown: 19 } as const // prettier-ignore
/** IPPROTO_TCP, and net/tcp_states.h */
const tcp = 6
const state = { closed: 7, closeWait: 8, listens: 10 } as const
/** images/sk-opts.proto, SK_SHUTDOWN__BOTH. */
const shutBothWays = 3

export type Connection = {
  inode: number
  state: number
  source: string
  target: string
  own: string
  peer: string
}

/** `ADDRESS PORT` of both ends, an IPv4 address in an IPv6 socket as what it is. */
export type Ends = Pick<Connection, 'own' | 'peer'>

export const keyOf = ({ own, peer }: Ends) => `${own} ${peer}`
export const peerKeyOf = ({ own, peer }: Ends) => `${peer} ${own}`

export function connectionsIn(entries: Iterable<Buffer>): Connection[] {
  const found: Connection[] = []
  for (const entry of entries) {
    if (!isInet(entry)) continue
    for (const { number: field, bytes } of fieldsOf(entry)) {
      const connection = field === inetField ? connectionIn(bytes) : undefined
      if (connection !== undefined) found.push(connection)
    }
  }
  return found
}

/** The local ports that the tree listens at. */
export function listeningPorts(entries: Iterable<Buffer>): Set<number> {
  const ports = new Set<number>()
  for (const entry of entries) {
    if (!isInet(entry)) continue
    for (const { number: field, bytes } of fieldsOf(entry)) {
      if (field !== inetField) continue
      const socket = fieldsOf(bytes)
      if (valueOf(socket, number.state) === state.listens) ports.add(valueOf(socket, number.sourcePort))
    }
  }
  return ports
}

export type Inside = {
  /** Both ends are in the tree. */
  pairs: [Connection, Connection][]
  /** The other end has sent all that it had and is gone, or not in the tree: what has arrived can be read. */
  halves: Connection[]
  others: Connection[]
}

/** @param isOwn whether an address is of this pod */
export function insideOf(connections: readonly Connection[], isOwn: (address: string) => boolean): Inside {
  const byKey = new Map(connections.map((one) => [keyOf(one), one]))
  const inside: Inside = { pairs: [], halves: [], others: [] }
  for (const one of connections) {
    const peer = byKey.get(peerKeyOf(one))
    // An address of a link needs its interface, which is not in the image. A socket that is connected to itself is its own peer.
    if (!isOwn(one.source) || !isOwn(one.target) || isLinkLocal(one.source) || peer === one)
      inside.others.push(one)
    else if (peer === undefined) (one.state === state.closeWait ? inside.halves : inside.others).push(one)
    else if (byKey.get(keyOf(one)) === one && keyOf(one) < keyOf(peer)) inside.pairs.push([one, peer])
  }
  return inside
}

/** What CRIU restores as a socket that was never connected, but has an end: as `--tcp-close` does with all of them. */
export function withClosed(entry: Buffer, isKept: (inode: number) => boolean): Buffer | undefined {
  return withConnection(entry, ({ inode }, socket) => {
    if (isKept(inode)) return undefined
    const set = new Map<number, number>([[number.state, state.closed], [number.sourcePort, 0], [number.targetPort, 0]]) // prettier-ignore
    const kept = socket.filter((field) => field.number !== number.shutdown)
    return Buffer.concat([...written(kept, set), encodeNumber(number.shutdown, shutBothWays)])
  })
}

/** images/inventory.proto: the images are those of a dump with `--tcp-close`, which CRIU then wants at the restore, too. */
const tcpClose = 10
const inventoryMagicLength = 4

/** Lets CRIU restore a connection where there is an image of its queues. */
export function allowConnections(imagesFolder: string): Promise<boolean> {
  return rewriteOnlyMessage(`${imagesFolder}/inventory.img`, inventoryMagicLength, (inventory) => {
    const fields = fieldsOf(inventory)
    const kept = fields.filter(({ number: field }) => field !== tcpClose)
    return kept.length === fields.length ? undefined : Buffer.concat(kept.map(({ raw }) => raw))
  })
}

/** @param states by inode, where the kernel had a newer one than CRIU */
export function withStates(entry: Buffer, states: ReadonlyMap<number, number>): Buffer | undefined {
  return withConnection(entry, ({ inode }, socket) => {
    const is = states.get(inode)
    return is === undefined ? undefined : Buffer.concat(written(socket, new Map([[number.state, is]])))
  })
}

/** @param ports by inode: the local port, or the peer's */
export function withPorts(
  entry: Buffer,
  ports: ReadonlyMap<number, { own?: number; peer?: number }>,
): Buffer | undefined {
  return withConnection(entry, ({ inode }, socket) => {
    const to = ports.get(inode)
    if (to === undefined) return undefined
    const set = new Map<number, number>()
    if (to.own !== undefined) set.set(number.sourcePort, to.own)
    if (to.peer !== undefined) set.set(number.targetPort, to.peer)
    return Buffer.concat(written(socket, set))
  })
}

/** Of 127.0.0.0/8 every address is the pod's. */
export function isAddressOf(own: readonly string[]): (address: string) => boolean {
  return (address) => own.includes(address) || (isIPv4(address) && address.startsWith('127.'))
}

function withConnection(
  entry: Buffer,
  change: (connection: Connection, socket: Field[]) => Buffer | undefined,
): Buffer | undefined {
  if (!isInet(entry)) return undefined
  return withMessagesChanged(entry, inetField, (bytes) => {
    const connection = connectionIn(bytes)
    return connection === undefined ? undefined : change(connection, fieldsOf(bytes))
  })
}

function written(socket: readonly Field[], values: ReadonlyMap<number, number>): Buffer[] {
  return socket.map((field) => {
    const value = values.get(field.number)
    return value === undefined ? field.raw : encodeNumber(field.number, value)
  })
}

/** As CRIU tells a connection: criu/sk-inet.c, tcp_connection. */
function connectionIn(bytes: Buffer): Connection | undefined {
  const socket = fieldsOf(bytes)
  const targetPort = valueOf(socket, number.targetPort)
  if (valueOf(socket, number.proto) !== tcp || targetPort === 0) return undefined
  const [source = '', target = ''] = [addressIn(bytes, number.source), addressIn(bytes, number.target)]
  return {
    inode: valueOf(socket, number.inode),
    state: valueOf(socket, number.state),
    source,
    target,
    own: `${source} ${valueOf(socket, number.sourcePort)}`,
    peer: `${target} ${targetPort}`,
  }
}

function isInet(entry: Buffer): boolean {
  return entry.subarray(0, inetType.length).equals(inetType)
}

function valueOf(fields: readonly Field[], field: number): number {
  return fields.find((one) => one.number === field)?.value ?? 0
}
