/**
 * Sockets at the pod's own address: a listener that was bound to it, or a UDP socket that was connected to something, which the kernel has
 * bound. The next pod has another address, and CRIU cannot bind to one that is not there (criu#312).
 */
import { BlockList, isIPv4 } from 'node:net'
import { encodeNumber, fieldsOf, withMessagesChanged } from './protobuf.ts'

/** images/fdinfo.proto: how an entry of such a socket begins, file_entry.type being INETSK, and file_entry.isk. */
const inetType = Buffer.from([8, 4])
const inetField = 4
/** images/sk-inet.proto: 32 bits a time, as they lie in memory. */
const number = { sourceAddress: 11, targetAddress: 12 } as const
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex')

/** What is an address of no pod: anything, loopback, multicast, broadcast. */
const everywhere = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
] as const)
  everywhere.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of [
  ['::', 127],
  ['ff00::', 8],
] as const)
  everywhere.addSubnet(net, prefix, 'ipv6')
const linkLocal = new BlockList()
linkLocal.addSubnet('fe80::', 10, 'ipv6')

/** @returns the addresses that sockets are bound to, and that this pod does not have */
export function strangeAddresses(entries: Iterable<Buffer>, own: readonly string[]): Set<string> {
  const strange = new Set<string>()
  for (const entry of entries) {
    if (!entry.subarray(0, inetType.length).equals(inetType)) continue
    for (const { number: field, bytes } of fieldsOf(entry)) {
      if (field !== inetField) continue
      const address = addressIn(bytes, number.sourceAddress)
      if (address !== undefined && !isEverywhere(address) && !own.includes(address)) strange.add(address)
    }
  }
  return strange
}

/** @returns for each address of the old pod this one's of the same kind, where it has one; the first of several */
export function newAddresses(strange: Iterable<string>, own: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const address of strange) {
    const same = own.find((one) => kindOf(one) === kindOf(address) && !isEverywhere(one))
    if (same !== undefined) found.set(address, same)
  }
  return found
}

/** @returns undefined for an entry that stays as it is */
export function withNewAddresses(entry: Buffer, addresses: ReadonlyMap<string, string>): Buffer | undefined {
  if (addresses.size === 0 || !entry.subarray(0, inetType.length).equals(inetType)) return undefined
  return withMessagesChanged(entry, inetField, (socket) => {
    let changed: Buffer | undefined
    for (const field of [number.sourceAddress, number.targetAddress]) {
      const to = addresses.get(addressIn(socket, field) ?? '')
      if (to !== undefined) changed = withAddress(changed ?? socket, field, to)
    }
    return changed
  })
}

function kindOf(address: string): string {
  if (isIPv4(address)) return 'ipv4'
  return isLinkLocal(address) ? 'link-local' : 'ipv6'
}

export function isLinkLocal(address: string): boolean {
  return !isIPv4(address) && linkLocal.check(address, 'ipv6')
}

function isEverywhere(address: string): boolean {
  return everywhere.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/** @throws Error for what CRIU would read in another way */
export function addressIn(socket: Buffer, field: number): string | undefined {
  const words = fieldsOf(socket).filter((one) => one.number === field)
  if (words.some(({ value }) => value >= 2 ** 32)) throw new Error('a word of an address is too long')
  const bytes = Buffer.alloc(words.length * 4)
  for (const [index, { value }] of words.entries()) bytes.writeUInt32LE(value, index * 4)
  return addressOf(bytes)
}

/** An IPv4 address that an IPv6 socket has (::ffff:10.0.0.1) is told as what it is. */
export function addressOf(bytes: Buffer): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  if (bytes.subarray(0, 12).equals(mappedPrefix)) return bytes.subarray(12).join('.')
  return shortened(bytes)
}

/** As node:os tells it: the URL parser writes an IPv6 address in its one canonical form (RFC 5952). */
function shortened(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

function withAddress(socket: Buffer, field: number, address: string): Buffer {
  const fields = fieldsOf(socket)
  const length = fields.filter((one) => one.number === field).length * 4
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : bytesOf(address)
  const whole = length > bytes.length ? Buffer.concat([mappedPrefix, bytes]) : bytes
  let at = 0
  return Buffer.concat(
    fields.map((one) => {
      if (one.number !== field) return one.raw
      at += 4
      return encodeNumber(field, whole.readUInt32LE(at - 4))
    }),
  )
}

function bytesOf(address: string): Buffer {
  const [head = '', tail] = address.split('::')
  const [before, after] = [groupsOf(head), groupsOf(tail)]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...before, ...zeros, ...after].entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  return bytes
}

function groupsOf(text = ''): string[] {
  return text.split(':').filter((group) => group !== '')
}
