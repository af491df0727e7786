/**
 * One request to a metadata service, on `node:net`: the first use of `fetch` costs 27 MB resident, `node:http` 13 MB, in
 * every protected pod (docs/decisions/0032). No redirects, no proxies, no names kept: a bounded answer by a deadline, or an error. No connection
 * is kept but where the caller says so.
 */
import { connect, type Socket } from 'node:net'
import { ReprieveError } from '../../src/errors.ts'
import { answerLimits, AnswerProblem, mayBeKept, readAnswer, type HttpAnswer } from './http-answer.ts'

/** Of the administrator's configuration, or the cloud's own; never of a pod's annotation. */
export type Endpoint = { host: string; port: number }

export type MetadataRequest = {
  method: 'GET' | 'PUT'
  path: string
  headers: Readonly<Record<string, string>>
  /** From the first thought of connecting to the last byte. */
  deadlineMs: number
  signal: AbortSignal
}

/** Why there is no answer: those after `aborted` come from something that is there. */
export type MetadataFailure =
  'unreachable' | 'late' | 'aborted' | 'garbage' | 'too-large' | 'status' | 'hidden'

/**
 * A connection that outlives its answer, for what is asked every second: making one anew is a third of what asking costs (make soak). One that the service
 * has closed, or that says nothing, is replaced by a new one within the same request. For one request at a time.
 */
export type KeptConnection = { idle: { socket: Socket; take: () => void } | undefined }

/** A machine that was moved leaves a connection behind that only looks alive; the service is on the machine itself. */
const keptPatienceMs = 1_000

/**
 * @param kept by the caller, from one request to the next
 * @throws ReprieveError `metadata-failed` with `data.failure`, a MetadataFailure other than `status` and `hidden`
 */
export async function requestMetadata(
  endpoint: Endpoint,
  request: MetadataRequest,
  kept?: KeptConnection,
): Promise<HttpAnswer> {
  const idle = kept?.idle
  if (kept === undefined || idle === undefined) return ask(endpoint, request, kept)
  kept.idle = undefined
  idle.take()
  const began = performance.now()
  const deadlineMs = Math.min(request.deadlineMs, keptPatienceMs)
  try {
    return await ask(endpoint, { ...request, deadlineMs }, kept, idle.socket)
  } catch (error) {
    const { failure } = (error as ReprieveError).data
    const leftMs = request.deadlineMs - (performance.now() - began)
    if ((failure !== 'unreachable' && failure !== 'late') || leftMs <= 0) throw error
    return ask(endpoint, { ...request, deadlineMs: leftMs }, kept)
  }
}

function ask(
  endpoint: Endpoint,
  request: MetadataRequest,
  kept?: KeptConnection,
  idle?: Socket,
): Promise<HttpAnswer> {
  const { host, port } = endpoint
  const { method, path, deadlineMs, signal } = request
  const failed = (failure: MetadataFailure, message: string, cause?: unknown) =>
    new ReprieveError(
      'metadata-failed',
      `${method} http://${host}:${port}${path}: ${message}`,
      { failure },
      cause,
    )
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(failed('aborted', 'not asked any more'))
    const socket = idle ?? connect({ host, port })
    let bytes = Buffer.alloc(0)
    const finish = (settle: () => void, isKept = false) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.off('data', take).off('end', ended)
      if (isKept && kept !== undefined) {
        socket.off('error', fail)
        keep(kept, socket)
      } else socket.destroy()
      settle()
    }
    const abort = () => finish(() => reject(failed('aborted', 'not asked any more')))
    const timer = setTimeout(
      () => finish(() => reject(failed('late', `no answer within ${deadlineMs} ms`))),
      deadlineMs,
    )
    signal.addEventListener('abort', abort)
    const look = (isOver: boolean) => {
      // Of a connection that was idle for too long: no answer at all, not half of one.
      if (isOver && bytes.length === 0 && idle !== undefined)
        return finish(() => reject(failed('unreachable', 'the connection was closed')))
      try {
        const answer = readAnswer(bytes, isOver)
        if (answer !== undefined)
          finish(() => resolve(answer), kept !== undefined && !isOver && mayBeKept(answer, bytes))
      } catch (error) {
        const failure = error instanceof AnswerProblem ? error.kind : 'garbage'
        finish(() => reject(failed(failure, 'an answer that cannot be used', error)))
      }
    }
    const take = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      // Chunks have sizes of their own: twice the limit holds every body within it, and ends everything beyond.
      if (bytes.length > answerLimits.headBytes + 2 * answerLimits.bodyBytes)
        finish(() => reject(failed('too-large', 'an answer that does not end')))
      else look(false)
    }
    const ended = () => look(true)
    // Stays after the end, too: a reset may still come.
    const fail = (error: Error) => finish(() => reject(failed('unreachable', 'cannot be reached', error)))
    socket.on('data', take).on('end', ended).on('error', fail)
    const write = () => socket.write(requestText(endpoint, request, kept !== undefined))
    if (idle === undefined) socket.once('connect', write)
    else write()
  })
}

/** Until it is used again: whatever comes of it meanwhile ends it. It keeps no process alive. */
function keep(kept: KeptConnection, socket: Socket): void {
  const events = ['data', 'end', 'error', 'close']
  const drop = () => {
    socket.destroy()
    kept.idle = undefined
  }
  for (const event of events) socket.on(event, drop)
  socket.unref()
  kept.idle = { socket, take: () => events.forEach((event) => socket.off(event, drop)) }
}

function requestText(
  { host, port }: Endpoint,
  { method, path, headers }: MetadataRequest,
  isKept: boolean,
): string {
  const name = host.includes(':') ? `[${host}]` : host
  const authority = port === 80 ? name : `${name}:${port}`
  const connection = isKept ? 'keep-alive' : 'close'
  const lines = Object.entries({ host: authority, connection, accept: '*/*', ...headers })
  // A PUT without a body says so (RFC 9110, 8.6).
  if (method === 'PUT') lines.push(['content-length', '0'])
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([header, value]) => `${header}: ${value}\r\n`).join('')}\r\n`
}
