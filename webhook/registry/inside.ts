/**
 * Addresses that look-ups do not go to unless the administrator names them: an image's name is its owner's choice, and the webhook stands
 * where its owner does not. The loopback, link-local and metadata addresses, private networks, and the ranges of Services.
 * https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
 */
import { BlockList, isIP } from 'node:net'

const special: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carriers, and many pod networks; Alibaba Cloud's metadata
  ['127.0.0.0', 8],
  ['168.63.129.16', 32], // Azure's wire server
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['34.118.224.0', 20], // Services of GKE, a public range that is not routed
  ['::', 96],
  ['64:ff9b:1::', 48], // NAT64 of a network's own
  ['100::', 64],
  ['2001::', 23], // Teredo among them, which holds another address
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4, likewise
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]
const forbidden = blockListOf(special)

export function isInside(address: string): boolean {
  return isIn(forbidden, address)
}

type Range = readonly [address: string, bits: number]

/** @param texts addresses and ranges, `10.1.0.0/16` or `fd00::1`; others, such as hosts, are passed over */
export function rangesIn(texts: readonly string[]): BlockList {
  return blockListOf(texts.flatMap((text) => [readRange(text)].filter((range) => range !== undefined)))
}

function readRange(text: string): Range | undefined {
  const [address = '', bits, ...more] = text.replace(/^\[(.*)\]$/, '$1').split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return undefined
  const most = family === 4 ? 32 : 128
  if (bits === undefined) return [address, most]
  return /^\d{1,3}$/.test(bits) && Number(bits) <= most ? [address, Number(bits)] : undefined
}

function blockListOf(ranges: readonly Range[]): BlockList {
  const list = new BlockList()
  for (const [address, bits] of ranges) list.addSubnet(address, bits, familyOf(address))
  return list
}

/** An address that holds one of IPv4, for NAT64 (RFC 6052) or by mapping, is judged as that. */
export function isIn(list: BlockList, address: string): boolean {
  // Node finds an IPv4 address mapped into IPv6 in the ranges of IPv4.
  return list.check(address, familyOf(address)) || list.check(embeddedIn(address) ?? address, 'ipv4')
}

const nat64 = blockListOf([['64:ff9b::', 96]])

function embeddedIn(address: string): string | undefined {
  if (isIP(address) !== 6 || !nat64.check(address, 'ipv6')) return undefined
  // URL writes the shortest form, whose last two groups are the IPv4 address.
  const groups = (URL.parse(`http://[${address}]/`)?.hostname ?? '').slice(1, -1).split(':')
  const [high, low] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16))
  if (high === undefined || low === undefined) return undefined
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
