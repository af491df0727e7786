/**
 * Which stored credentials are meant for an image: the rules of the kubelet (pkg/credentialprovider/keyring.go), so that
 * the webhook sees an image exactly where the node can pull it.
 */
import type { Credential, StoredCredential } from './docker-config.ts'
import { globMatches } from './host-glob.ts'
import { defaultDomain } from './reference.ts'

/** The name of Docker Hub in docker's own files. */
const dockerPlace = 'index.docker.io'

/**
 * All that match, the most special place first, in the order in which they are to be tried.
 * @param name domain and repository of the image: `registry.example.com/team/app`
 */
export function credentialsFor(name: string, stored: readonly StoredCredential[]): Credential[] {
  const places = stored.map(({ place, credential }) => ({ place: normalized(place), credential }))
  // In reverse order of their names a longer path comes before its beginning.
  const sorted = places.toSorted((a, b) => (a.place < b.place ? 1 : a.place > b.place ? -1 : 0))
  const matching = sorted.filter(({ place }) => matches(place, name))
  if (matching.length > 0) return matching.map(({ credential }) => credential)
  return name.startsWith(`${defaultDomain}/`)
    ? sorted.filter(({ place }) => place === dockerPlace).map(({ credential }) => credential)
    : []
}

/** Without scheme, and without the `/v1/` or `/v2/` that docker writes; a lone slash is no path. */
function normalized(place: string): string {
  const bare = place.replace(/^https?:\/\//, '')
  const slash = bare.indexOf('/')
  if (slash < 0) return bare
  const path = bare.slice(slash).replace(/^\/v[12]\//, '/')
  return path === '/' ? bare.slice(0, slash) : bare.slice(0, slash) + path
}

function matches(place: string, name: string): boolean {
  const wanted = partsOf(place)
  const given = partsOf(name)
  return (
    wanted.port === given.port &&
    wanted.labels.length === given.labels.length &&
    // A prefix of characters, not of path components: so it is in the kubelet.
    given.path.startsWith(wanted.path) &&
    wanted.labels.every((pattern, index) => globMatches(pattern, given.labels[index] ?? ''))
  )
}

function partsOf(text: string): { labels: string[]; port: string; path: string } {
  const slash = text.indexOf('/')
  const host = slash < 0 ? text : text.slice(0, slash)
  const port = /:(\d+)$/.exec(host)?.[1] ?? ''
  const name = port === '' ? host : host.slice(0, -port.length - 1)
  // The brackets of an IPv6 address are no set of characters.
  const bare = /^\[(.*:.*)\]$/.exec(name)?.[1] ?? name
  return { labels: bare.split('.'), port, path: slash < 0 ? '' : text.slice(slash) }
}
