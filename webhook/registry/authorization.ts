/**
 * From a challenge and a credential to the header that answers it.
 * https://distribution.github.io/distribution/spec/auth/token/ and oauth/
 */
import { ReprieveError } from '../../src/errors.ts'
import { at } from '../json-path.ts'
import type { Challenge } from './challenge.ts'
import type { Credential } from './docker-config.ts'
import type { Transport } from './transport.ts'

/** A token is a header's value: printable, and no longer than servers take. */
const tokenForm = /^[\x21-\x7e]{1,16384}$/
const mostAnswerBytes = 256 * 1024

/**
 * @param credential undefined: anonymous, which a token server may serve as well
 * @returns undefined where the credential is of no use for what is asked
 * @throws ReprieveError `registry-failed`
 */
export async function authorizationFor(
  challenges: readonly Challenge[],
  credential: Credential | undefined,
  { repository, transport, signal }: { repository: string; transport: Transport; signal: AbortSignal },
): Promise<string | undefined> {
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
  if (bearer === undefined) {
    const asksBasic = challenges.some(({ scheme }) => scheme === 'basic')
    return asksBasic && credential?.kind === 'password' ? basic(credential) : undefined
  }
  const realm = URL.parse(bearer.parameters.get('realm') ?? '')
  if (realm === null) throw new ReprieveError('registry-failed', 'the registry names no token server')
  const asked = {
    service: bearer.parameters.get('service') ?? '',
    // The registry's own scope comes first: behind a prefix it may have another name for the repository.
    scope: bearer.parameters.get('scope') ?? `repository:${repository}:pull`,
  }
  const answer = await transport({
    ...(credential?.kind === 'identity'
      ? refreshing(realm, asked, credential.token)
      : asking(realm, asked, credential)),
    mostBytes: mostAnswerBytes,
    signal,
  })
  if (answer.status !== 200)
    throw new ReprieveError(
      'registry-failed',
      `the token server ${realm.host} answers ${answer.status}`,
      faultOf(answer.status),
    )
  const token = tokenIn(answer.body)
  if (token === undefined)
    throw new ReprieveError('registry-failed', `the token server ${realm.host} gives no token`)
  return `Bearer ${token}`
}

/** Statuses that describe the server rather than the request. */
export function faultOf(status: number): { fault?: 'elsewhere' } {
  return status === 429 || status >= 500 ? { fault: 'elsewhere' } : {}
}

type Asked = { service: string; scope: string }

function asking(realm: URL, asked: Asked, credential: (Credential & { kind: 'password' }) | undefined) {
  const url = new URL(realm)
  for (const [name, value] of Object.entries(asked)) if (value !== '') url.searchParams.set(name, value)
  const headers: Record<string, string> = { accept: 'application/json' }
  if (credential !== undefined) headers.authorization = basic(credential)
  return { method: 'GET' as const, url, headers }
}

function refreshing(url: URL, asked: Asked, token: string) {
  const form = { grant_type: 'refresh_token', client_id: 'reprieve', ...asked, refresh_token: token }
  return {
    method: 'POST' as const,
    url,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  }
}

function basic({ username, password }: Credential & { kind: 'password' }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function tokenIn(body: Buffer): string | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    const token = at(parsed, 'token') ?? at(parsed, 'access_token')
    return typeof token === 'string' && tokenForm.test(token) ? token : undefined
  } catch {
    return undefined
  }
}
