/**
 * /healthz, /readyz, /status and /metrics for clients in the pod, and /metrics alone for other clients, where the plan admits them.
 * Written on `node:net`: for a few fixed answers to GET, `node:http` would cost 13 MB resident in every protected pod
 * (bench/sidecar-memory.ts), more than all code of the sidecar.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'

/** `metrics`: in the text format of Prometheus. */
export type StatusSource = { ready: () => boolean; status: () => unknown; metrics: () => string }

const requestDeadlineMs = 2_000
const longestRequestBytes = 8192

/** Resolves undefined for port 0 (no server), and where the port is in use: a pod that uses the port itself still runs. */
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
  // The deadline counts from the start, not from the last byte: a slow client could keep the few connections for hours.
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

/** `kubectl port-forward` connects from there, too. */
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
    // An error thrown into the socket's listener would end the sidecar, and the protection of the pod with it.
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
