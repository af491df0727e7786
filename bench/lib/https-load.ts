/** Requests over TLS as an API server makes them: a few connections that stay open, on each one request after the other. */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'

export type Load = {
  port: number
  path: string
  body: Buffer
  authority: string
  connections: number
  /** A text that is another in each request wherever the body has it: a number of as many digits. */
  serial?: string
  /** Until both are over. */
  atLeastMs?: number
  atLeastRequests?: number
  /** Throws if an answer is not what is measured; asked about each connection's first one. */
  check: (body: string) => void
}

export type Measured = { requests: number; rps: number; p50Ms: number; p99Ms: number }

export async function load({ atLeastMs = 0, atLeastRequests = 1, ...rest }: Load): Promise<Measured> {
  const begun = performance.now()
  const tookMs: number[] = []
  let requests = 0
  const isOver = () => requests >= atLeastRequests && performance.now() - begun >= atLeastMs
  await Promise.all(
    Array.from({ length: rest.connections }, () =>
      worker(rest, isOver, (ms) => {
        requests++
        // Of a long run a part is kept: a million times fill memory that the machine needs.
        if (requests % Math.max(1, Math.floor(atLeastRequests / 100_000)) === 0) tookMs.push(ms)
      }),
    ),
  )
  const seconds = (performance.now() - begun) / 1000
  const sorted = Float64Array.from(tookMs).sort()
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return { requests, rps: requests / seconds, p50Ms: at(0.5), p99Ms: at(0.99) }
}

let serials = 0

async function worker(
  { port, path, body, authority, check, serial }: Omit<Load, 'connections'>,
  isOver: () => boolean,
  done: (ms: number) => void,
): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, ca: authority, servername: 'localhost' })
  await once(socket, 'secureConnect')
  socket.setNoDelay(true)
  const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  const request = Buffer.concat([Buffer.from(head), body])
  const serialsAt = placesOf(serial, request)
  const answers = answersOf(socket)
  let isFirst = true
  while (!isOver()) {
    if (serial !== undefined) {
      const text = String(++serials).padStart(serial.length, '0')
      for (const place of serialsAt) request.write(text, place)
    }
    const begun = performance.now()
    socket.write(request)
    const { status, text } = await answers()
    done(performance.now() - begun)
    if (status !== 200) throw new Error(`status ${status}: ${text().slice(0, 500)}`)
    if (isFirst) check(text())
    isFirst = false
  }
  socket.destroy()
}

function placesOf(serial: string | undefined, request: Buffer): number[] {
  const places: number[] = []
  if (serial !== undefined)
    for (let at = request.indexOf(serial); at >= 0; at = request.indexOf(serial, at + 1)) places.push(at)
  if (serial !== undefined && places.length === 0) throw new Error('the body has no serial')
  return places
}

type HttpAnswer = { status: number; text: () => string }

/** Just enough of HTTP/1.1: all three servers say how long an answer is. */
function answersOf(socket: TLSSocket): () => Promise<HttpAnswer> {
  let waiting: PromiseWithResolvers<HttpAnswer> | undefined
  let buffer: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk])
    const end = buffer.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = buffer.subarray(0, end).toString('latin1')
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN)
    if (Number.isNaN(length)) return waiting?.reject(new Error(`an answer without its length: ${head}`))
    if (buffer.length < end + 4 + length) return
    const whole = buffer
    buffer = whole.subarray(end + 4 + length)
    waiting?.resolve({
      status: Number(head.slice(9, 12)),
      text: () => whole.subarray(end + 4, end + 4 + length).toString('utf8'),
    })
  })
  const fail = (error: Error) => waiting?.reject(error)
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server closed the connection')))
  return () => {
    waiting = Promise.withResolvers<HttpAnswer>()
    return waiting.promise
  }
}
