/**
 * One request to a metadata service, on `node:net`: the first use of `fetch` costs 27 MB resident, `node:http` 13 MB, in
 * every protected pod (docs/decisions/0018). No redirects, no proxies, no names kept: a bounded answer by a deadline, or an error. No connection
 * is kept but where the caller says so.
 */
import { connect, type Socket } from 'node:net'
import { ReprieveError } from '../../../src/errors.ts'
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
 * A connection that outlives its answer, for what is asked every second: making one anew, and all that listens to it, is most of what asking
 * costs. One that the service has closed, or that says nothing, is replaced by a new one within the same request. For one request at a time.
 */
export type KeptConnection = {
  idle: Connection | undefined
  /** What is asked, which is always the same. */
  text?: string
}

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
  // Another stretch of asking has another signal, which would not reach it.
  if (idle.signal !== request.signal) {
    idle.close()
    return ask(endpoint, request, kept)
  }
  const began = performance.now()
  const deadlineMs = Math.min(request.deadlineMs, keptPatienceMs)
  try {
    return await ask(endpoint, { ...request, deadlineMs }, kept, idle)
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
  idle?: Connection,
): Promise<HttpAnswer> {
  const { method, path, deadlineMs, signal } = request
  const failed = (failure: MetadataFailure, message: string, cause?: unknown) =>
    new ReprieveError(
      'metadata-failed',
      `${method} http://${endpoint.host}:${endpoint.port}${path}: ${message}`,
      { failure },
      cause,
    )
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      idle?.close()
      return reject(failed('aborted', 'not asked any more'))
    }
    const connection = idle ?? new Connection(endpoint, signal)
    let bytes: Buffer = Buffer.alloc(0)
    const fail = (failure: MetadataFailure, message: string, cause?: unknown) => {
      clearTimeout(timer)
      connection.close()
      reject(failed(failure, message, cause))
    }
    const timer = setTimeout(() => fail('late', `no answer within ${deadlineMs} ms`), deadlineMs)
    const look = (isOver: boolean) => {
      // Of a connection that was idle for too long: no answer at all, not half of one.
      if (isOver && bytes.length === 0 && idle !== undefined)
        return fail('unreachable', 'the connection was closed')
      try {
        const answer = readAnswer(bytes, isOver)
        if (answer === undefined) return
        clearTimeout(timer)
        if (kept !== undefined && !isOver && mayBeKept(answer, bytes)) connection.keepIn(kept)
        else connection.close()
        resolve(answer)
      } catch (error) {
        const failure = error instanceof AnswerProblem ? error.kind : 'garbage'
        fail(failure, 'an answer that cannot be used', error)
      }
    }
    const text = kept?.text ?? requestText(endpoint, request, kept !== undefined)
    if (kept !== undefined) kept.text = text
    connection.ask(text, {
      said: (chunk) => {
        bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
        // Chunks have sizes of their own: twice the limit holds every body within it, and ends everything beyond.
        if (bytes.length > answerLimits.headBytes + 2 * answerLimits.bodyBytes)
          fail('too-large', 'an answer that does not end')
        else look(false)
      },
      ended: () => look(true),
      broke: (error) => fail('unreachable', 'cannot be reached', error),
      aborted: () => fail('aborted', 'not asked any more'),
    })
  })
}

type Asker = {
  said: (chunk: Buffer) => void
  ended: () => void
  broke: (error: Error) => void
  aborted: () => void
}

/** Listens to its socket once and for all, for whoever asks. */
class Connection {
  readonly signal: AbortSignal
  readonly #socket: Socket
  #asker: Asker | undefined
  #keptIn: KeptConnection | undefined

  constructor({ host, port }: Endpoint, signal: AbortSignal) {
    this.signal = signal
    this.#socket = connect({ host, port })
    this.#socket.on('data', (chunk: Buffer) =>
      this.#asker === undefined ? this.close() : this.#asker.said(chunk),
    )
    this.#socket.on('end', () => (this.#asker === undefined ? this.close() : this.#asker.ended()))
    // Stays after the end, too: a reset may still come.
    this.#socket.on('error', (error) => (this.#asker === undefined ? this.close() : this.#asker.broke(error)))
    this.#socket.on('close', () => this.close())
    signal.addEventListener('abort', this.#aborted)
  }

  readonly #aborted = () => (this.#asker === undefined ? this.close() : this.#asker.aborted())

  /** Before it is connected what is written waits. */
  ask(text: string, asker: Asker): void {
    this.#asker = asker
    this.#socket.write(text)
  }

  /** Until it is asked again: whatever comes of it meanwhile ends it. It keeps no process alive. */
  keepIn(kept: KeptConnection): void {
    this.#asker = undefined
    this.#keptIn = kept
    kept.idle = this
    this.#socket.unref()
  }

  close(): void {
    this.#asker = undefined
    if (this.#keptIn?.idle === this) this.#keptIn.idle = undefined
    this.signal.removeEventListener('abort', this.#aborted)
    this.#socket.destroy()
  }
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
