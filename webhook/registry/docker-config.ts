/**
 * The files that hold credentials for registries: `.dockerconfigjson` (docker's config.json) and the older `.dockercfg`, whose
 * whole is what the other has under `auths`.
 * https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets
 */
import { isRecord } from '../shape.ts'

export type Credential =
  | { kind: 'password'; username: string; password: string }
  /** An OAuth 2 refresh token, as `docker login` stores it for registries that give one. */
  | { kind: 'identity'; token: string }

/** `place`: a host, perhaps with a scheme, a path and wildcards, as it stands in the file. */
export type StoredCredential = { place: string; credential: Credential }

/** More, and longer ones, than real files have: each is compared with every image. */
const mostEntries = 1000
const longestPlace = 1000

export function readDockerConfigJson(text: string): StoredCredential[] {
  const parsed = parsedRecord(text)
  return isRecord(parsed?.auths) ? credentialsIn(parsed.auths) : []
}

export function readDockerCfg(text: string): StoredCredential[] {
  return credentialsIn(parsedRecord(text) ?? {})
}

function credentialsIn(entries: Record<string, unknown>): StoredCredential[] {
  return Object.entries(entries)
    .slice(0, mostEntries)
    .flatMap(([place, entry]) => {
      const credential = isRecord(entry) && place.length <= longestPlace ? credentialOf(entry) : undefined
      return credential === undefined ? [] : [{ place, credential }]
    })
}

/** `auth` beats `username` and `password`, as in the kubelet (credentialprovider/config.go). */
function credentialOf({
  auth,
  username,
  password,
  identitytoken,
}: Record<string, unknown>): Credential | undefined {
  if (typeof identitytoken === 'string' && identitytoken !== '')
    return { kind: 'identity', token: identitytoken }
  if (typeof auth === 'string' && auth !== '') return decoded(auth)
  return typeof username === 'string' && typeof password === 'string' && username !== ''
    ? { kind: 'password', username, password }
    : undefined
}

function decoded(auth: string): Credential | undefined {
  const text = Buffer.from(auth, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 1
    ? undefined
    : { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function parsedRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
