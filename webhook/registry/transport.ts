/**
 * One HTTP request to a registry or to its token server: bounded in size, in time by its signal, and in where it goes.
 * Redirects are followed as https://fetch.spec.whatwg.org/#http-redirect-fetch does for GET, and never take credentials along.
 */
import {
  request as requestPlain,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http'
import { Agent, request as requestTls } from 'node:https'
import { getCACertificates } from 'node:tls'
import { ReprieveError } from '../../src/errors.ts'
import { guardedLookup, namesHost, permitted, type Trust } from './permitted-url.ts'

export type Outgoing = {
  method: 'GET' | 'HEAD' | 'POST'
  url: URL
  headers: Record<string, string>
  body?: string
  /** An answer that is longer is given up on. */
  mostBytes: number
  signal: AbortSignal
}

export type Answer = { status: number; headers: IncomingMessage['headers']; body: Buffer }

/**
 * @throws ReprieveError `registry-failed`, whose message is fit for the pod's owner: nothing of the answer is in it. Its datum
 * `fault` is `elsewhere` where the same question may have another answer soon.
 */
export type Transport = (outgoing: Outgoing) => Promise<Answer>

const mostRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])

/** @param authorities PEM texts of further certificate authorities than the usual ones */
export function createTransport(trust: Trust, authorities: readonly string[] = []): Transport {
  // Verified, whatever NODE_TLS_REJECT_UNAUTHORIZED says.
  const ca = [...getCACertificates('default'), ...authorities]
  const agent = new Agent({
    ca,
    keepAlive: true,
    maxSockets: 8,
    maxFreeSockets: 4,
    timeout: 15_000,
    rejectUnauthorized: true,
  })

  const lookup = guardedLookup(trust.ranges)

  return async (outgoing) => {
    let { url, headers } = outgoing
    for (let hops = 0; hops <= mostRedirects; hops++) {
      permitted(url, trust)
      const options: RequestOptions = {
        method: outgoing.method,
        headers: { 'user-agent': 'reprieve', ...headers },
        signal: outgoing.signal,
        ...(namesHost(trust.named, url) ? {} : { lookup }),
      }
      const answer = await exchange(outgoing, url, () =>
        url.protocol === 'http:' ? requestPlain(url, options) : requestTls(url, { ...options, agent }),
      )
      const { location } = answer.headers
      if (!redirects.has(answer.status) || location === undefined || outgoing.method === 'POST') return answer
      const next = URL.parse(location, url.href)
      if (next === null) throw new ReprieveError('registry-failed', `${url.host} redirects to no address`)
      if (next.origin !== url.origin) headers = withoutCredentials(headers)
      url = next
    }
    throw new ReprieveError(
      'registry-failed',
      `${outgoing.url.host} redirects more than ${mostRedirects} times`,
    )
  }
}

function withoutCredentials(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'))
}

async function exchange(outgoing: Outgoing, url: URL, open: () => ClientRequest): Promise<Answer> {
  const { method, body, mostBytes, signal } = outgoing
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const fail = (error: unknown) => reject(failure(url, signal, error))
  const request = open()
  request.on('error', (error: NodeJS.ErrnoException) => {
    // A connection that was kept, which the server gave up just then: the question has not been heard, and is asked on another one.
    if (request.reusedSocket && error.code === 'ECONNRESET' && !signal.aborted)
      resolve(exchange(outgoing, url, open))
    else fail(error)
  })
  request.on('response', (incoming) => {
    const chunks: Buffer[] = []
    let sizeBytes = 0
    incoming.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      chunks.push(chunk)
      if (sizeBytes <= mostBytes) return
      reject(new ReprieveError('registry-failed', `${url.host} answers with more than ${mostBytes} bytes`))
      incoming.destroy()
    })
    incoming.on('error', fail)
    incoming.on('aborted', () => fail(new Error('the connection ended')))
    incoming.on('end', () =>
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
    )
  })
  request.end(method === 'POST' ? body : undefined)
  return promise
}

/** Node's words for a connection that failed name addresses and certificates, and nothing of what was sent. */
function failure(url: URL, signal: AbortSignal, error: unknown): ReprieveError {
  if (error instanceof ReprieveError) return error
  const data = { fault: 'elsewhere' }
  return signal.aborted
    ? new ReprieveError('registry-failed', `${url.host} did not answer in time`, data)
    : new ReprieveError('registry-failed', `${url.host} cannot be asked`, data, error)
}
