/**
 * One request and its answer over node:http, with bounds on everything: how long it may take to connect, to say nothing, and to go on
 * at a crawl; and how much is read. Redirects are not followed, and no proxy is taken from the environment.
 */
import { once } from 'node:events'
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export type HttpRequest = {
  method: 'GET' | 'PUT'
  url: URL
  headers: Readonly<Record<string, string>>
  body?: readonly Uint8Array[]
  /** More than this of an answer is a failure. */
  mostBytes: number
  signal: AbortSignal
}

export type HttpAnswer = {
  status: number
  headers: Readonly<Record<string, string | undefined>>
  body: Buffer
}

export type Patience = {
  /** Between two bytes, in either direction, and until there is a connection. */
  silenceMs: number
  /** A transfer has twice `silenceMs` and the time that its bytes take at this rate. */
  leastBytesPerSecond: number
}

export const defaultPatience: Patience = { silenceMs: 15_000, leastBytesPerSecond: 256 << 10 }

/** What the exchange failed of, before there was an answer or in its middle. */
export class ExchangeFailure extends Error {
  override readonly name = 'ExchangeFailure'
  /** Whether another try may go better. */
  readonly passes: boolean

  constructor(message: string, passes: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.passes = passes
  }
}

export type Exchange = (request: HttpRequest) => Promise<HttpAnswer>

/** @param ca in PEM, in the place of the ones that Node brings */
export function createExchange({
  ca,
  patience = defaultPatience,
}: { ca?: string; patience?: Patience } = {}): Exchange {
  const options = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 16, maxFreeSockets: 8, timeout: patience.silenceMs } // prettier-ignore
  const agents = {
    'http:': new HttpAgent(options),
    'https:': new HttpsAgent({ ...options, ...(ca === undefined ? {} : { ca }) }),
  }
  return async (wanted) => {
    const { protocol } = wanted.url
    if (protocol !== 'http:' && protocol !== 'https:') throw new ExchangeFailure(`${protocol} is no protocol of a store`, false) // prettier-ignore
    const send = protocol === 'https:' ? httpsRequest : httpRequest
    const request = send(wanted.url, {
      method: wanted.method,
      headers: { ...wanted.headers, 'content-length': String(lengthOf(wanted.body)), 'accept-encoding': 'identity' },
      agent: agents[protocol],
    }) // prettier-ignore
    return exchanged(request, wanted, patience)
  }
}

export function lengthOf(body: readonly Uint8Array[] | undefined): number {
  return (body ?? []).reduce((sum, part) => sum + part.length, 0)
}

async function exchanged(
  request: ClientRequest,
  wanted: HttpRequest,
  patience: Patience,
): Promise<HttpAnswer> {
  // Errors are taken where they matter, below. One that comes later has nobody to tell, and must not end the process.
  request.on('error', ignore)
  const { signal, body = [], mostBytes } = wanted
  let ended: ExchangeFailure | undefined
  const end = (why: string) => {
    ended ??= new ExchangeFailure(why, true)
    request.destroy()
  }
  const crawl = timer((ms) => end(`it was not done after ${ms} ms`))
  const onAbort = () => end('it was aborted')
  request.setTimeout(patience.silenceMs, () => end(`nothing moved for ${patience.silenceMs} ms`))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    crawl.start(longestMs(patience, lengthOf(body)))
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    // An answer may come before all is sent: a refusal. It counts more than that the rest could not be sent.
    pipeline(Readable.from(body.filter((part) => part.length > 0)), request).catch(ignore)
    const [response] = await answered
    const length = lengthSaid(response)
    if (length > mostBytes) throw new ExchangeFailure(`the answer has ${length} bytes, more than the ${mostBytes} expected`, true) // prettier-ignore
    crawl.start(longestMs(patience, length))
    const received = await readAll(response, length, mostBytes)
    if (!request.writableFinished) request.destroy()
    return { status: response.statusCode ?? 0, headers: flat(response), body: received }
  } catch (error) {
    request.destroy()
    signal.throwIfAborted()
    if (ended !== undefined) throw ended
    throw error instanceof ExchangeFailure
      ? error
      : new ExchangeFailure(reasonOf(error), mayPass(error), error)
  } finally {
    crawl.stop()
    signal.removeEventListener('abort', onAbort)
  }
}

/** Longer than a silence, which has a reason of its own. */
function longestMs({ silenceMs, leastBytesPerSecond }: Patience, bytes: number): number {
  return Math.round(2 * silenceMs + (bytes / leastBytesPerSecond) * 1_000)
}

function timer(onEnd: (ms: number) => void) {
  let running: NodeJS.Timeout | undefined
  const stop = () => clearTimeout(running)
  return {
    start: (ms: number) => {
      stop()
      running = setTimeout(onEnd, ms, ms)
    },
    stop,
  }
}

/** 0 where it is not said. */
function lengthSaid(response: IncomingMessage): number {
  const length = Number(response.headers['content-length'] ?? 0)
  return Number.isSafeInteger(length) ? length : 0
}

/**
 * @param length that is announced, 0 where it is not: then it is copied once more
 * @throws where the peer ends before its `Content-Length`, by Node's own parser
 */
async function readAll(response: IncomingMessage, length: number, mostBytes: number): Promise<Buffer> {
  const whole = Buffer.allocUnsafeSlow(length)
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    if (bytes + part.length > mostBytes) throw new ExchangeFailure(`the answer has more than the ${mostBytes} bytes expected`, true) // prettier-ignore
    if (length > 0) part.copy(whole, bytes)
    else parts.push(part)
    bytes += part.length
  }
  return length > 0 ? whole.subarray(0, bytes) : Buffer.concat(parts, bytes)
}

function flat({ headers }: IncomingMessage): HttpAnswer['headers'] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}

/** A certificate that is not trusted will not be on another try, nor will a server that does not speak TLS. */
function mayPass(error: unknown): boolean {
  const code = codeOf(error)
  return !/CERT|^UNABLE_TO|^ERR_TLS|^EPROTO$|^ERR_SSL|^INVALID_CA|^HOSTNAME_MISMATCH/.test(code)
}

function reasonOf(error: unknown): string {
  const code = codeOf(error)
  if (!mayPass(error))
    return `its TLS is not trusted, or is none (${code}): check the address, and the CA in the store's configuration`
  const known: Record<string, string> = {
    ECONNREFUSED: 'nobody listens there',
    ECONNRESET: 'the connection was closed in the middle',
    EPIPE: 'the connection was closed in the middle',
    ENOTFOUND: 'its name is not known',
    EAI_AGAIN: 'its name could not be looked up',
    EHOSTUNREACH: 'there is no way to it',
    ENETUNREACH: 'there is no way to it',
    ETIMEDOUT: 'it does not answer',
  }
  const said = known[code] ?? (code.startsWith('HPE_') ? 'what it answers is no HTTP' : 'the exchange failed')
  return code === '' ? said : `${said} (${code})`
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : ''
  return typeof code === 'string' ? code : ''
}

function ignore(): void {}
