/**
 * Metadata services as the three clouds run them, on a port of this machine: their paths, headers and statuses, and every way
 * in which they have been seen to fail. A test changes what they announce.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Endpoint } from '../../../../sidecar/triggers/clouds/metadata-request.ts'

type Test = { teardown: (work: () => unknown) => void }

/** What happens to the next request that the path matches, instead of an answer. */
export const quirks = {
  hang: () => undefined,
  'a slow first byte': (response: ServerResponse, slowMs: number) =>
    setTimeout(() => response.end('FALSE'), slowMs).unref(),
  garbage: (response: ServerResponse) => response.socket?.end('\0\u0001\u0002 this is not HTTP \r\n\r\n'),
  'a garbage body': (response: ServerResponse) => response.end('<html>\0</html>'),
  'an empty body': (response: ServerResponse) => response.end(),
  'half a body': (response: ServerResponse) => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('{"half":', () => response.socket?.destroySoon())
  },
  'a huge body': (response: ServerResponse) => {
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  },
  'a huge head': (response: ServerResponse) => {
    response.socket?.write(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`)
  },
  'a redirect': (response: ServerResponse) =>
    response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
  'a reset': (response: ServerResponse) => response.socket?.resetAndDestroy(),
  'a 404': (response: ServerResponse) => response.writeHead(404).end('<title>404 - Not Found</title>'),
  '400': (response: ServerResponse) => response.writeHead(400).end('bad request'),
  '403': (response: ServerResponse) => response.writeHead(403).end('forbidden'),
  '429': (response: ServerResponse) => response.writeHead(429, { 'retry-after': '1' }).end('too many'),
  '500': (response: ServerResponse) => response.writeHead(500).end(),
  '503': (response: ServerResponse) => response.writeHead(503).end('maintenance'),
} as const
export type Quirk = keyof typeof quirks

export abstract class MetadataServer {
  /** Method and path of every request, without its query. */
  readonly asked: string[] = []
  readonly #server: Server
  #quirk: { path: RegExp; quirk: Quirk; times: number } | undefined
  slowMs = 10_000
  /** Asked before every answer: what happens to the request instead. */
  mood: ((path: string) => Quirk | undefined) | undefined
  /** Of a machine whose own clock is wrong: by how much the service's is ahead of it. */
  clockAheadMs = 0

  constructor() {
    this.#server = createServer((request, response) => {
      const path = (request.url ?? '').split('?')[0] ?? ''
      this.asked.push(`${request.method} ${path}`)
      if (this.clockAheadMs !== 0)
        response.setHeader('date', new Date(Date.now() + this.clockAheadMs).toUTCString())
      const mood = this.mood?.(path)
      const quirk = this.#quirk
      if (mood !== undefined) quirks[mood](response, this.slowMs)
      else if (quirk !== undefined && quirk.times > 0 && quirk.path.test(path)) {
        quirk.times--
        quirks[quirk.quirk](response, this.slowMs)
      } else this.answer(request, response, path)
    })
  }

  static async start<T extends MetadataServer>(t: Test, server: T): Promise<T> {
    await server.listen()
    t.teardown(() => server.close())
    return server
  }

  async listen(port = 0, host = '127.0.0.1'): Promise<void> {
    this.#server.listen(port, host)
    await once(this.#server, 'listening')
  }

  get endpoint(): Endpoint {
    const { address, port } = this.#server.address() as AddressInfo
    return { host: address, port }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  misbehave(path: RegExp, quirk: Quirk, times = Number.POSITIVE_INFINITY): void {
    this.#quirk = { path, quirk, times }
  }

  behave(): void {
    this.#quirk = undefined
  }

  protected abstract answer(request: IncomingMessage, response: ServerResponse, path: string): void
}

/** Version 2 only: without a token that it gave and that lives, 401. */
export class AwsServer extends MetadataServer {
  readonly announced = new Map<string, string>([['autoscaling/target-lifecycle-state', 'InService']])
  readonly #tokens = new Map<string, number>()
  tokenSeconds = 21_600

  /** As when the machine was moved. */
  forgetTokens(): void {
    this.#tokens.clear()
  }

  protected answer(request: IncomingMessage, response: ServerResponse, path: string): void {
    if (path === '/latest/api/token') {
      // Proxies that forward are refused, and so is a token of no given life.
      const ttl = request.headers['x-aws-ec2-metadata-token-ttl-seconds']
      if (request.method !== 'PUT' || request.headers['x-forwarded-for'] !== undefined)
        return void response.writeHead(403).end()
      if (!/^\d+$/.test(String(ttl)) || Number(ttl) < 1 || Number(ttl) > 21_600)
        return void response.writeHead(400).end()
      const token = `AQAEA${this.#tokens.size}-${Math.random().toString(36).slice(2)}==`
      this.#tokens.set(token, Date.now() + this.tokenSeconds * 1_000)
      return void response
        .writeHead(200, { 'x-aws-ec2-metadata-token-ttl-seconds': String(this.tokenSeconds) })
        .end(token)
    }
    const until = this.#tokens.get(String(request.headers['x-aws-ec2-metadata-token']))
    if (until === undefined || until < Date.now()) return void response.writeHead(401).end()
    const body = this.announced.get(path.replace('/latest/meta-data/', ''))
    if (body === undefined) return void response.writeHead(404).end('<title>404 - Not Found</title>')
    response.writeHead(200, { 'content-type': 'text/plain' }).end(body)
  }
}

/** `wait_for_change` holds a request until the value is another one than the etag's, or its time is over. */
export class GcpServer extends MetadataServer {
  readonly #values = new Map<string, string>([['id', '1234567890'], ['preempted', 'FALSE'], ['maintenance-event', 'NONE']]) // prettier-ignore
  readonly #waiting = new Map<string, Set<() => void>>()
  /** In chunks, as an HTTP/1.1 server may. */
  chunked = false
  /**
   * GKE's own metadata server, which stands before the machine's where pods have identities of their own: it knows of no notices.
   * https://github.com/banzaicloud/preemption-exporter/issues/3
   */
  gke: false | 'with the flavor' | 'without' = false

  change(key: string, value: string): void {
    this.#values.set(key, value)
    for (const wake of this.#waiting.get(key) ?? []) wake()
  }

  waiting(key: string): number {
    return this.#waiting.get(key)?.size ?? 0
  }

  protected answer(request: IncomingMessage, response: ServerResponse, path: string): void {
    // Without the header a request may come from a browser that was tricked.
    if (request.headers['metadata-flavor'] !== 'Google') return void response.writeHead(403).end()
    const key = path.replace('/computeMetadata/v1/instance/', '')
    if (this.gke === 'without' && key !== 'id') return void response.writeHead(404).end('Not Found\n')
    if (!this.#values.has(key) || (this.gke !== false && key !== 'id'))
      return void response.writeHead(404, { 'metadata-flavor': 'Google' }).end('Not Found\n')
    const query = new URL(request.url ?? '', 'http://x').searchParams
    const etag = () => Buffer.from(this.#values.get(key) ?? '').toString('hex').padEnd(16, '0') // prettier-ignore
    const reply = () => {
      const body = `${this.#values.get(key)}`
      response.writeHead(200, {
        'metadata-flavor': 'Google',
        etag: etag(),
        'content-type': 'application/text',
      })
      if (this.chunked) response.write(body.slice(0, 1))
      response.end(this.chunked ? body.slice(1) : body)
    }
    const waits = query.get('wait_for_change') === 'true' && query.get('last_etag') === etag()
    if (!waits) return reply()
    const waiting = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, waiting)
    const wake = () => {
      waiting.delete(wake)
      clearTimeout(timer)
      if (!response.destroyed) reply()
    }
    const timer = setTimeout(wake, Number(query.get('timeout_sec') ?? 3_600) * 1_000).unref()
    waiting.add(wake)
    response.on('close', () => waiting.delete(wake))
  }
}

export type AzureEvent = {
  EventId: string
  EventType: string
  EventStatus: string
  Resources: string[]
  NotBefore: string
}

/** The first call for events turns the service on, and takes long; whoever posts approves for all. */
export class AzureServer extends MetadataServer {
  machine = 'aks-spot-31415926-vmss_0'
  firstMs = 0
  incarnation = 1
  approvals = 0
  #events: AzureEvent[] = []
  #on = false

  schedule(...events: AzureEvent[]): void {
    this.#events = events
    this.incarnation++
  }

  protected answer(request: IncomingMessage, response: ServerResponse, path: string): void {
    const query = new URL(request.url ?? '', 'http://x').searchParams
    if (request.headers.metadata !== 'true' || !query.has('api-version'))
      return void response.writeHead(400).end()
    if (path === '/metadata/instance/compute/name')
      return void response.end(query.get('format') === 'text' ? this.machine : JSON.stringify(this.machine))
    if (path !== '/metadata/scheduledevents') return void response.writeHead(404).end()
    if (request.method === 'POST') {
      this.approvals++
      return void response.end()
    }
    const reply = () => {
      this.#on = true
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ DocumentIncarnation: this.incarnation, Events: this.#events }))
    }
    if (this.#on || this.firstMs === 0) reply()
    else setTimeout(reply, this.firstMs).unref()
  }
}
