/**
 * The little of HTTP/1.1 that a metadata service answers with, out of the bytes that have come so far. Pure. Everything is
 * bounded and nothing is believed: whoever can put himself at the service's address can send anything.
 */
export type HttpAnswer = {
  status: number
  /** By name in lower case; of several of one name the first. */
  headers: Headers
  body: string
}

export type Headers = { get(name: string): string | undefined; has(name: string): boolean }

export const answerLimits = {
  headBytes: 16 << 10,
  /** Azure's list of a whole scale set's events is the largest: a few hundred bytes for each. */
  bodyBytes: 256 << 10,
} as const

export class AnswerProblem extends Error {
  override readonly name = 'AnswerProblem'
  readonly kind: 'garbage' | 'too-large'
  constructor(kind: 'garbage' | 'too-large', message: string) {
    super(message)
    this.kind = kind
  }
}

/**
 * @param ended nothing more will come
 * @returns undefined while more has to come. @throws AnswerProblem
 */
export function readAnswer(bytes: Buffer, ended: boolean): HttpAnswer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) {
    if (bytes.length > answerLimits.headBytes)
      throw new AnswerProblem('too-large', `a head of more than ${answerLimits.headBytes} bytes`)
    // What does not even begin like an answer is not waited for.
    if (!beginsRight(bytes)) throw new AnswerProblem('garbage', 'not HTTP')
    if (ended) throw new AnswerProblem('garbage', 'the connection ended within the head')
    return undefined
  }
  if (headEnd > answerLimits.headBytes)
    throw new AnswerProblem('too-large', `a head of ${headEnd} bytes, more than ${answerLimits.headBytes}`)
  const head = bytes.toString('latin1', 0, headEnd)
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |\r\n|$)/.exec(head)?.[1] ?? Number.NaN)
  if (Number.isNaN(status)) throw new AnswerProblem('garbage', 'no status line')
  const lines = head.indexOf('\r\n')
  const headers = new LazyHeaders(lines < 0 ? '' : head.slice(lines))
  const body = readBody(bytes.subarray(headEnd + 4), status, headers, ended)
  return body === undefined ? undefined : { status, headers, body: body.toString('utf8') }
}

/** Most answers are asked for two headers of ten, once a second in every pod: no line is taken apart that nobody asks for. */
class LazyHeaders implements Headers {
  readonly #text: string
  readonly #lower: string

  /** @param text each line with its line break before it. @throws AnswerProblem */
  constructor(text: string) {
    if (!/^(?:\r\n[^:\r\n]+:[^\r\n]*)*$/.test(text)) throw new AnswerProblem('garbage', 'a header line without a name') // prettier-ignore
    this.#text = text
    this.#lower = text.toLowerCase()
  }

  has(name: string): boolean {
    return this.#lower.includes(`\r\n${name}:`)
  }

  get(name: string): string | undefined {
    const at = this.#lower.indexOf(`\r\n${name}:`)
    if (at < 0) return undefined
    const from = at + name.length + 3
    const to = this.#text.indexOf('\r\n', from)
    return this.#text.slice(from, to < 0 ? undefined : to).trim()
  }
}

/** Whether another answer can come on the same connection: this one has a length, and nothing came after it. */
export function mayBeKept({ headers }: HttpAnswer, bytes: Buffer): boolean {
  const length = headers.get('content-length')
  if (length === undefined || headers.has('transfer-encoding')) return false
  const isNew = bytes.toString('latin1', 0, 'HTTP/1.1'.length) === 'HTTP/1.1'
  return (
    isNew &&
    !/\bclose\b/i.test(headers.get('connection') ?? '') &&
    bytes.length === bytes.indexOf('\r\n\r\n') + 4 + Number(length)
  )
}

/** How long the service asks to be left alone: seconds, or a date by its own clock (RFC 9110, 10.2.3). */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const value = headers.get('retry-after') ?? ''
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const at = Date.parse(value)
  const sent = Date.parse(headers.get('date') ?? '')
  // Date.parse reads more than dates.
  if (Number.isNaN(at) || !value.endsWith('GMT')) return undefined
  return Math.max(0, at - (Number.isNaN(sent) ? now : sent))
}

function beginsRight(bytes: Buffer): boolean {
  const begin = 'HTTP/1.'
  const length = Math.min(bytes.length, begin.length)
  return bytes.toString('latin1', 0, length) === begin.slice(0, length)
}

function readBody(rest: Buffer, status: number, headers: Headers, ended: boolean): Buffer | undefined {
  // prettier-ignore
  if (status === 204 || status === 304) return Buffer.alloc(0)
  const encoding = headers.get('transfer-encoding')
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked')
      throw new AnswerProblem('garbage', 'an unknown transfer encoding')
    return readChunks(rest, ended)
  }
  const length = headers.get('content-length')
  if (length === undefined) {
    requireSmall(rest.length)
    return ended ? rest : undefined
  }
  if (!/^\d{1,15}$/.test(length)) throw new AnswerProblem('garbage', 'a length that is no number')
  requireSmall(Number(length))
  if (rest.length >= Number(length)) return rest.subarray(0, Number(length))
  if (ended) throw new AnswerProblem('garbage', 'the connection ended within the body')
  return undefined
}

/** RFC 9112, 7.1. */
function readChunks(rest: Buffer, ended: boolean): Buffer | undefined {
  const parts: Buffer[] = []
  for (let at = 0, total = 0; ;) {
    const lineEnd = rest.indexOf('\r\n', at)
    // A size of eight digits is beyond the limit; extensions are few and short.
    if (lineEnd < 0 ? rest.length - at > 256 : lineEnd - at > 256)
      throw new AnswerProblem('garbage', 'a chunk without a size')
    if (lineEnd < 0) break
    const size = /^([0-9a-fA-F]{1,8})(?:;|$)/.exec(rest.toString('latin1', at, lineEnd))?.[1]
    if (size === undefined) throw new AnswerProblem('garbage', 'a chunk without a size')
    const bytes = Number.parseInt(size, 16)
    if (bytes === 0) return Buffer.concat(parts)
    total += bytes
    requireSmall(total)
    const from = lineEnd + 2
    if (rest.length < from + bytes + 2) break
    parts.push(rest.subarray(from, from + bytes))
    at = from + bytes + 2
  }
  if (ended) throw new AnswerProblem('garbage', 'the connection ended within the body')
  return undefined
}

function requireSmall(bytes: number): void {
  if (bytes > answerLimits.bodyBytes)
    throw new AnswerProblem('too-large', `a body of more than ${answerLimits.bodyBytes} bytes`)
}
