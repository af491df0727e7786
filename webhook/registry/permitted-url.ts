/**
 * Where look-ups may go. An image's name is its owner's choice, and what a registry answers (realms, redirects) is the
 * registry's: neither may make the webhook, which stands in the control plane, talk to what it would not otherwise
 * reach. So: HTTPS that verifies, everywhere but at hosts that the administrator names; and never the machine itself, nor
 * the addresses at which clouds hand out their machines' credentials.
 */
import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ReprieveError } from '../../src/errors.ts'

export type Trust = {
  /** Hosts, with their port where it is not the usual one, that are spoken to over plain HTTP. */
  plainHttp: readonly string[]
  /** Hosts that the administrator named for any reason: their addresses are not looked at. */
  named: readonly string[]
}

const forbidden = new BlockList()
forbidden.addSubnet('0.0.0.0', 8, 'ipv4')
forbidden.addSubnet('127.0.0.0', 8, 'ipv4')
forbidden.addSubnet('169.254.0.0', 16, 'ipv4')
forbidden.addSubnet('224.0.0.0', 3, 'ipv4')
forbidden.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud's metadata
forbidden.addAddress('168.63.129.16', 'ipv4') // Azure's wire server
forbidden.addSubnet('::', 127, 'ipv6')
forbidden.addSubnet('fe80::', 10, 'ipv6')
forbidden.addSubnet('ff00::', 8, 'ipv6')
forbidden.addAddress('fd00:ec2::254', 'ipv6') // AWS's metadata
forbidden.addAddress('fd20:ce::254', 'ipv6') // Google Cloud's metadata

/** @throws ReprieveError `registry-failed` */
export function permitted(url: URL, trust: Trust): void {
  const refuse = (why: string) => {
    throw new ReprieveError('registry-failed', `${url.host} is not asked: ${why}`)
  }
  if (url.username !== '' || url.password !== '') refuse('its address holds credentials')
  if (url.protocol === 'http:' ? !namesHost(trust.plainHttp, url) : url.protocol !== 'https:')
    refuse('it would be over something else than HTTPS, and the configuration does not name it')
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0 && !namesHost(trust.named, url) && isForbidden(literal)) refuse(insideWords)
}

/** Compared as URLs have them: without the scheme's usual port, and in small letters. */
export function namesHost(hosts: readonly string[], url: URL): boolean {
  return hosts.some((host) => URL.parse(`${url.protocol}//${host}`)?.host === url.host)
}

const insideWords = 'it is an address inside the machine or the cloud'

export function isForbidden(address: string): boolean {
  return forbidden.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** Name resolution that gives no forbidden address: whatever is connected to has been looked at. */
export const guardedLookup: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return done(error, [])
    const addresses = found.filter(({ address }) => !isForbidden(address))
    const first = addresses[0]
    if (first === undefined)
      return done(new ReprieveError('registry-failed', `${hostname} is not asked: ${insideWords}`), [])
    if (options.all === true) done(null, addresses)
    else done(null, first.address, first.family)
  })
}
