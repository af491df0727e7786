/**
 * Stands between a client and an S3 server and does to requests what networks and servers do. It passes the Host header on, so signatures
 * hold. Each fault is used up by one request; those after the last one pass unharmed.
 */
import { once } from 'node:events'
import { createServer, request as send, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http' // prettier-ignore
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

type Answer = { status: number; headers: Record<string, string>; body: Buffer }

export type Fault =
  /** An answer of its own; the server is not asked. */
  | { answer: number; headers?: Record<string, string>; body?: string }
  /** The same before the request has been read, and then the connection is closed. */
  | { early: number; body?: string }
  /** The connection is reset before the server is asked, after it has done it, or in the middle of its answer. */
  | 'reset'
  | 'answer-lost'
  | 'reset-in-the-middle'
  /** Nothing comes, or a byte every 20 ms. */
  | 'silent'
  | 'crawl'
  /** Content-Length says more, or less, than there is. */
  | 'length-too-long'
  | 'length-too-short'
  /** A bit is flipped on the way. */
  | 'upload-damaged'
  | 'download-damaged'
  /** An answer with other headers or another status. */
  | { instead: Partial<Omit<Answer, 'body'>> }
  | 'no-http'
  | 'passes'

export type FaultProxy = {
  endpoint: string
  /** What the next requests suffer. */
  faults: Fault[]
  /** `GET /bucket/key`, without the query, and the whole URL. */
  requests: { line: string; url: string; atMs: number }[]
}

type Test = { teardown: (work: () => unknown) => void }

export async function startFaultProxy(
  t: Test,
  target: { port: number },
  tls?: { key: string; cert: string },
): Promise<FaultProxy> {
  const faults: Fault[] = []
  const requests: FaultProxy['requests'] = []
  const sockets = new Set<Socket>()
  const onRequest: RequestListener = (request, response) => {
    const url = request.url ?? ''
    requests.push({ line: `${request.method} ${url.replace(/\?.*/, '')}`, url, atMs: performance.now() })
    suffer(faults.shift() ?? 'passes', { request, response, port: target.port }).catch(() =>
      response.destroy(),
    )
  }
  const server = tls === undefined ? createServer(onRequest) : createTlsServer(tls, onRequest)
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => sockets.add(socket))
  server.on('clientError', (_, socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const { port } = server.address() as AddressInfo
  return { endpoint: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, faults, requests }
}

type Suffering = { request: IncomingMessage; response: ServerResponse; port: number }

async function suffer(fault: Fault, { request, response, port }: Suffering): Promise<void> {
  if (fault === 'reset') return void request.socket.resetAndDestroy()
  if (fault === 'silent') return
  if (typeof fault === 'object' && 'early' in fault) {
    write(response, {
      status: fault.early,
      headers: { connection: 'close' },
      body: Buffer.from(fault.body ?? ''),
    })
    await sleep(50)
    return void request.socket.destroy()
  }
  const body = await bytesOf(request)
  if (typeof fault === 'object' && 'answer' in fault)
    return write(response, { status: fault.answer, headers: fault.headers ?? {}, body: Buffer.from(fault.body ?? '') }) // prettier-ignore
  if (fault === 'no-http') return void request.socket.end('220 this is another protocol\r\n')
  const answer = await asked(request, fault === 'upload-damaged' ? flipped(body) : body, port)
  if (fault === 'answer-lost') return void request.socket.resetAndDestroy()
  if (typeof fault === 'object') return write(response, { ...answer, ...fault.instead, headers: { ...answer.headers, ...fault.instead.headers } }) // prettier-ignore
  if (fault === 'download-damaged') return write(response, { ...answer, body: flipped(answer.body) })
  if (fault === 'passes' || fault === 'upload-damaged') return write(response, answer)
  const wrong = { 'length-too-long': 10, 'length-too-short': -10, 'reset-in-the-middle': 0, crawl: 0 }[fault]
  const length = answer.body.length + wrong
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(length) }).flushHeaders()
  const socket = request.socket
  if (fault === 'length-too-long' || fault === 'length-too-short') return void socket.end(answer.body)
  if (fault === 'reset-in-the-middle') {
    socket.write(answer.body.subarray(0, answer.body.length / 2))
    await sleep(20)
    return void socket.resetAndDestroy()
  }
  for (const byte of answer.body) {
    if (socket.destroyed) return
    socket.write(Buffer.of(byte))
    await sleep(20)
  }
}

async function asked(request: IncomingMessage, body: Buffer, port: number): Promise<Answer> {
  const { method, url: path, headers } = request
  const onward = send({ host: '127.0.0.1', port, method, path, headers: { ...headers, connection: 'close' } })
  // A server that sends more than it has announced fails the request after its answer.
  onward.on('error', () => undefined)
  onward.end(body)
  const [answer] = (await once(onward, 'response')) as [IncomingMessage]
  const { connection: _connection, 'transfer-encoding': _chunked, ...kept } = answer.headers
  return {
    status: answer.statusCode ?? 0,
    headers: kept as Record<string, string>,
    body: await bytesOf(answer),
  }
}

function write(response: ServerResponse, { status, headers, body }: Answer): void {
  const { 'content-length': _length, ...rest } = headers
  // Without a body a 204 must not have a length, and a 200 to a PUT may.
  response
    .writeHead(status, status === 204 ? rest : { ...rest, 'content-length': String(body.length) })
    .end(body)
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}

function flipped(body: Buffer): Buffer {
  const copy = Buffer.from(body)
  if (copy.length > 0) copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1
  return copy
}
