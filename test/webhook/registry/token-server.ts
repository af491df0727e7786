/**
 * A token server as docker-registry trusts one: it gives JSON Web Tokens that are signed by a key whose certificate comes along
 * (`x5c`), to those who show a password or a refresh token.
 * https://distribution.github.io/distribution/spec/auth/jwt/
 */
import { createSign, X509Certificate } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { makeAuthority, makeLeaf } from '../../../certs/authority.ts'
import { user } from './docker-registry.ts'

export const refreshToken = 'a-refresh-token-of-this-test'

export type TokenServer = {
  host: string
  auth: { realm: string; rootCertificate: string; issuer: string; service: string }
  /** What was asked for: method, service, scope and who, in turn. */
  asked: string[]
}

export async function startTokenServer(test: {
  teardown: (done: () => unknown) => unknown
}): Promise<TokenServer> {
  const validity = { from: new Date(), days: 1 }
  const authority = makeAuthority('tokens', validity)
  const signer = makeLeaf(authority, ['tokens.example'], validity)
  const issuer = 'token server of this test'
  const service = 'registry of this test'
  const asked: string[] = []

  const tokenFor = (scope: string) => {
    const [type, name, actions = ''] = scope.split(':')
    const now = Math.floor(Date.now() / 1000)
    const header = {
      typ: 'JWT',
      alg: 'RS256',
      x5c: [new X509Certificate(signer.cert).raw.toString('base64')],
    }
    const claims = {
      iss: issuer,
      sub: user.name,
      aud: service,
      iat: now,
      nbf: now - 10,
      exp: now + 300,
      jti: String(Math.random()),
      access: [{ type, name, actions: actions.split(',') }],
    }
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(signer.key, 'base64url')}`
  }

  const server = createServer(async (incoming, reply) => {
    const { query, who } = await asksOf(incoming)
    asked.push(`${incoming.method} ${query.get('service')} ${query.get('scope')} ${who ?? 'nobody'}`)
    if (who === undefined) return reply.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED"}]}')
    const token = tokenFor(query.get('scope') ?? '')
    // The two names are one and the same; OAuth 2's is the only one in its own answer.
    reply.end(
      JSON.stringify(incoming.method === 'POST' ? { access_token: token } : { token, expires_in: 300 }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    auth: { realm: `http://${host}/token`, rootCertificate: authority.cert, issuer, service },
    asked,
  }
}

async function asksOf(incoming: IncomingMessage): Promise<{ query: URLSearchParams; who?: string }> {
  if (incoming.method === 'POST') {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const query = new URLSearchParams(Buffer.concat(chunks).toString())
    const good = query.get('grant_type') === 'refresh_token' && query.get('refresh_token') === refreshToken
    return good ? { query, who: 'refreshed' } : { query }
  }
  const query = new URL(incoming.url ?? '', 'http://x').searchParams
  const [scheme, encoded = ''] = (incoming.headers.authorization ?? '').split(' ')
  const good =
    scheme === 'Basic' && Buffer.from(encoded, 'base64').toString() === `${user.name}:${user.password}`
  return good ? { query, who: user.name } : { query }
}
