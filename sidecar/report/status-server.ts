/**
 * /healthz, /readyz, /status and /metrics for who is in the pod; for others, where they are let in, /metrics only. Written on `node:net`:
 * loading `node:http` costs 13 MB resident in every protected pod (bench/sidecar-memory.ts), more than all of this sidecar's own code, for a few
 * fixed answers to GET.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'

/** `metrics`: in the text format of Prometheus. */
export type StatusSource = { ready: () => boolean; status: () => unknown; metrics: () => string }

const requestDeadlineMs = 2_000
const longestRequestBytes = 8192

/** Resolves undefined for port 0 (none), and when the port cannot be had: a pod that uses it itself still runs. */
export async function serveStatus(
  { port, host = '127.0.0.1' }: { port: number; host?: string | undefined },
  source: StatusSource,
  log: EventLog,
): Promise<Server | undefined> {
  if (port === 0) return undefined
  const server = createServer((socket) => serve(socket, source, log))
  server.maxConnections = 32
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    log.warn({ event: 'status.unavailable', err: error, port }, 'the status port could not be had')
    return undefined
  }
  server.on('error', (error) => log.warn({ event: 'status.failed', err: error }, 'the status server failed'))
  return server
}

function serve(socket: Socket, source: StatusSource, log: EventLog): void {
  let text = ''
  // From the start, not since the last byte: who drips its request would keep the few connections for hours.
  const timer = setTimeout(() => socket.destroy(), requestDeadlineMs)
  socket.on('close', () => clearTimeout(timer))
  socket.on('error', () => socket.destroy())
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
    if (text.length > longestRequestBytes) socket.destroy()
    else if (text.includes('\r\n\r\n')) {
      socket.removeAllListeners('data').resume()
      socket.end(answer(text.slice(0, text.indexOf('\r\n')), source, isInPod(socket), log))
    }
  })
}

/** Port forwarding comes from there, too. */
function isInPod({ remoteAddress = '' }: Socket): boolean {
  return ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(remoteAddress)
}

function answer(requestLine: string, source: StatusSource, inPod: boolean, log: EventLog): string {
  const [method, target = ''] = requestLine.split(' ')
  if (method !== 'GET') return respond('405 Method Not Allowed', 'text/plain', 'only GET\n')
  const path = target.split('?')[0]
  if (!inPod && path !== '/metrics') return respond('403 Forbidden', 'text/plain', 'only /metrics\n')
  try {
    return tell(path, source)
  } catch (error) {
    // Thrown on into the socket's listener it would end the sidecar, and with it the pod's protection.
    log.error(
      { event: 'status.unanswered', err: error, path },
      'a request for the status could not be answered',
    )
    return respond('500 Internal Server Error', 'text/plain', 'this cannot be told: the log says why\n')
  }
}

function tell(path: string | undefined, source: StatusSource): string {
  switch (path) {
    case '/healthz':
      return respond('200 OK', 'text/plain', 'ok\n')
    case '/readyz':
      return source.ready()
        ? respond('200 OK', 'text/plain', 'ok\n')
        : respond('503 Service Unavailable', 'text/plain', 'not ready\n')
    case '/status':
      return respond('200 OK', 'application/json', `${JSON.stringify(source.status())}\n`)
    case '/metrics':
      return respond('200 OK', 'text/plain; version=0.0.4', source.metrics())
    default:
      return respond('404 Not Found', 'text/plain', 'one of /healthz, /readyz, /status, /metrics\n')
  }
}

function respond(status: string, type: string, body: string): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
}
