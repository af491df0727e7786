/**
 * One request to a metadata service, on `node:net`: the first use of `fetch` costs 27 MB resident, `node:http` 13 MB, in
 * every protected pod (docs/decisions/0032). No redirects, no proxies, no names kept, no connection kept: a bounded answer by a
 * deadline, or an error.
 */
import { connect } from 'node:net'
import { ReprieveError } from '../../src/errors.ts'
import { answerLimits, AnswerProblem, readAnswer, type HttpAnswer } from './http-answer.ts'

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

/** @throws ReprieveError `metadata-failed` with `data.failure`, a MetadataFailure other than `status` and `hidden` */
export function requestMetadata(endpoint: Endpoint, request: MetadataRequest): Promise<HttpAnswer> {
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
    const socket = connect({ host, port })
    let bytes = Buffer.alloc(0)
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.removeAllListeners('data')
      socket.destroy()
      settle()
    }
    const abort = () => finish(() => reject(failed('aborted', 'not asked any more')))
    const timer = setTimeout(
      () => finish(() => reject(failed('late', `no answer within ${deadlineMs} ms`))),
      deadlineMs,
    )
    signal.addEventListener('abort', abort)
    const look = (ended: boolean) => {
      try {
        const answer = readAnswer(bytes, ended)
        if (answer !== undefined) finish(() => resolve(answer))
      } catch (error) {
        const failure = error instanceof AnswerProblem ? error.kind : 'garbage'
        finish(() => reject(failed(failure, 'an answer that cannot be used', error)))
      }
    }
    socket.once('connect', () => socket.write(requestText(endpoint, request)))
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      // Chunks have sizes of their own: twice the limit holds every body within it, and ends everything beyond.
      if (bytes.length > answerLimits.headBytes + 2 * answerLimits.bodyBytes)
        finish(() => reject(failed('too-large', 'an answer that does not end')))
      else look(false)
    })
    socket.once('end', () => look(true))
    // Stays after the end, too: a reset may still come.
    socket.on('error', (error) => finish(() => reject(failed('unreachable', 'cannot be reached', error))))
  })
}

function requestText({ host, port }: Endpoint, { method, path, headers }: MetadataRequest): string {
  const name = host.includes(':') ? `[${host}]` : host
  const authority = port === 80 ? name : `${name}:${port}`
  const lines = Object.entries({ host: authority, connection: 'close', accept: '*/*', ...headers })
  // A PUT without a body says so (RFC 9110, 8.6).
  if (method === 'PUT') lines.push(['content-length', '0'])
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([header, value]) => `${header}: ${value}\r\n`).join('')}\r\n`
}
