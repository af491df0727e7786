/** Which TCP connections of a checkpoint can come back in this pod, and what of their images has to be another. */
import { readFile } from 'node:fs/promises'
import { savedInodes } from '../criu/kept-connections.ts'
import { connectionsIn, insideOf, isAddressOf, keyOf, listeningPorts, peerKeyOf, withClosed, withPorts, type Connection } from '../criu/tcp-connections.ts' // prettier-ignore
import { tcpTable } from '../criu/tcp-table.ts'

export type Fitted = {
  /** Undefined for an entry that stays. The addresses are this pod's by then. */
  change: (entry: Buffer) => Buffer | undefined
  kept: number
  closed: number
}

/** include/uapi/linux/capability.h, NET_ADMIN and NET_RAW: for repair mode, and to let a socket receive the end of the peer's data. */
const needed = (1n << 12n) | (1n << 13n)
/** net.ipv4.ip_local_port_range is mostly 32768 to 60999: above it the kernel gives no port to anybody. */
const firstFree = 61_000
const endOfPorts = 65_536

export async function canRepair(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'latin1').catch(() => '')
  const held = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return (held & needed) === needed
}

/** @param entries of the image, by now with this pod's addresses */
export async function fitConnections(
  imagesFolder: string,
  entries: readonly Buffer[],
  own: readonly string[],
): Promise<Fitted> {
  const saved = (await canRepair()) ? await savedInodes(imagesFolder) : new Set<number>()
  return fitted(entries, saved, own, await tcpTable())
}

export function fitted(
  entries: readonly Buffer[],
  saved: ReadonlySet<number>,
  own: readonly string[],
  table: ReadonlyMap<string, unknown>,
): Fitted {
  const connections = connectionsIn(entries)
  const { pairs, halves } = insideOf(connections, isAddressOf(own))
  const isSaved = (ends: readonly Connection[]) => ends.every(({ inode }) => saved.has(inode))
  const inside: Connection[][] = [...pairs, ...halves.map((half) => [half])].filter(isSaved)
  const listening = listeningPorts(entries)
  const known = [...table.keys(), ...connections.flatMap((one) => [one.own, one.peer])]
  const taken = new Set([...known.flatMap(portsIn), ...listening])
  const kept = new Set<number>()
  const ports = new Map<number, { own?: number; peer?: number }>()
  for (const ends of inside) {
    if (ends.some((one) => table.has(keyOf(one)) || table.has(peerKeyOf(one)))) {
      const port = freePort(taken)
      if (port === undefined || !movePort(ends, port, listening, ports)) continue
      taken.add(port)
    }
    for (const { inode } of ends) kept.add(inode)
  }
  return {
    change: (entry) => withClosed(entry, (inode) => kept.has(inode)) ?? withPorts(entry, ports),
    kept: kept.size,
    closed: connections.length - kept.size,
  }
}

/**
 * An earlier life of the container may have left the same connection to the kernel (TIME_WAIT), which then refuses a second one. The end that
 * nobody connects to gets another port.
 */
function movePort(
  ends: readonly Connection[],
  port: number,
  listening: ReadonlySet<number>,
  ports: Map<number, { own?: number; peer?: number }>,
): boolean {
  const [one, peer] = ends
  if (one === undefined) return false
  const isServer = (end: string) => listening.has(Number(end.split(' ')[1]))
  if (isServer(one.own) && isServer(one.peer)) return false
  const isMoved = isServer(one.own) ? 'peer' : 'own'
  ports.set(one.inode, { [isMoved]: port })
  if (peer !== undefined) ports.set(peer.inode, { [isMoved === 'own' ? 'peer' : 'own']: port })
  return true
}

function freePort(taken: ReadonlySet<number>): number | undefined {
  for (let port = firstFree; port < endOfPorts; port++) if (!taken.has(port)) return port
  return undefined
}

/** Of `ADDRESS PORT`, or two of these. */
function portsIn(ends: string): number[] {
  return ends.split(' ').flatMap((word, index) => (index % 2 === 1 ? [Number(word)] : []))
}
