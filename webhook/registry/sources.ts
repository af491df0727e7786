/** Where an image is asked for, in which order: the mirrors of its domain, then the domain itself. */
import type { EntrypointConfig } from '../../src/config.ts'
import { namesHost } from './permitted-url.ts'
import { apiHostOf, type ImageReference } from './reference.ts'

export type Source = {
  /** `https://registry-1.docker.io`. */
  origin: string
  /** The repository as this host knows it. */
  repository: string
  /** The key of the credentials. A mirror never gets the credentials of the registry that it mirrors. */
  name: string
}

export function sourcesOf(
  { domain, repository }: ImageReference,
  { mirrors, plainHttp }: Pick<EntrypointConfig, 'mirrors' | 'plainHttp'>,
): Source[] {
  const originOf = (host: string) => {
    const plain = URL.parse(`http://${host}`)
    return `${plain !== null && namesHost(plainHttp, plain) ? 'http' : 'https'}://${host}`
  }
  const mirrored = (mirrors.get(domain) ?? []).map((mirror): Source => {
    const [host = '', ...path] = mirror.split('/')
    const inner = [...path, repository].join('/')
    return { origin: originOf(host), repository: inner, name: `${host}/${inner}` }
  })
  return [...mirrored, { origin: originOf(apiHostOf(domain)), repository, name: `${domain}/${repository}` }]
}

/** Every host that the configuration names. */
export function namedHosts({
  mirrors,
  plainHttp,
  insideRegistries,
}: Pick<EntrypointConfig, 'mirrors' | 'plainHttp' | 'insideRegistries'>): string[] {
  const mirroring = [...mirrors.values()].flat().map((mirror) => mirror.split('/')[0] ?? '')
  const inside = insideRegistries.filter((text) => !text.includes('/'))
  return [...plainHttp, ...inside, ...[...mirrors.keys()].map(apiHostOf), ...mirroring]
}
