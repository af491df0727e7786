/**
 * Where look-ups may go. An image's name is its owner's choice, and what a registry answers (realms, redirects) is the
 * registry's: neither may make the webhook, which stands in the control plane, talk to what it would not otherwise
 * reach. So: HTTPS that verifies, everywhere but at hosts that the administrator names; and never inside (inside.ts), but where the administrator
 * names the host or the range.
 */
import { lookup, type LookupAddress, type LookupAllOptions } from 'node:dns'
import { isIP, type BlockList, type LookupFunction } from 'node:net'
import { ReprieveError } from '../../src/errors.ts'
import { isIn, isInside } from './inside.ts'

export type Trust = {
  /** Hosts, with their port where it is not the usual one, that are spoken to over plain HTTP. */
  plainHttp: readonly string[]
  /** Hosts that the administrator named for any reason: their addresses are not looked at. */
  named: readonly string[]
  /** Ranges of addresses that the administrator named. */
  ranges: BlockList
}

/** @throws ReprieveError `registry-failed` */
export function permitted(url: URL, trust: Trust): void {
  const refuse = (why: string) => {
    throw new ReprieveError('registry-failed', `${url.host} is not asked: ${why}`)
  }
  if (url.username !== '' || url.password !== '') refuse('its address holds credentials')
  if (url.protocol === 'http:' ? !namesHost(trust.plainHttp, url) : url.protocol !== 'https:')
    refuse('it would be over something else than HTTPS, and the configuration does not name it')
  if (namesHost(trust.named, url)) return
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  const isHere = /(^|\.)localhost\.?$/.test(literal)
  if (isHere || (isIP(literal) !== 0 && isKeptFrom(literal, trust.ranges))) throw inside(url.host)
}

/** Compared as URLs have them: without the scheme's usual port, and in small letters. */
export function namesHost(hosts: readonly string[], url: URL): boolean {
  return hosts.some((host) => URL.parse(`${url.protocol}//${host}`)?.host === url.host)
}

/** No fault of the pod's owner: the administrator can name the registry, and the pod starts without protection. */
function inside(host: string): ReprieveError {
  return new ReprieveError(
    'registry-failed',
    `${host} is not asked: it is inside the machine, the cluster or a private network, and entrypoints.insideRegistries does not name it`,
    { fault: 'elsewhere' },
  )
}

function isKeptFrom(address: string, ranges: BlockList): boolean {
  return isInside(address) && !isIn(ranges, address)
}

type Resolve = (
  name: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void

/**
 * Name resolution for connections, so that whatever is connected to has been looked at, however often a name changes what it means. A name is
 * taken as a whole: with the search domains of the pod, `registry.team-a` would be a Service.
 */
export function guardedLookup(ranges: BlockList, resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, done) => {
    resolve(`${hostname.replace(/\.$/, '')}.`, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, [])
      const addresses = found.filter(({ address }) => !isKeptFrom(address, ranges))
      const first = addresses[0]
      if (first === undefined) return done(inside(hostname), [])
      if (options.all === true) done(null, addresses)
      else done(null, first.address, first.family)
    })
  }
}
