/**
 * One side of a conversation between agent and sidecar: lines of JSON over a socket. Each question has a number and a verb, and gets one
 * answer; each answer is waited for with a deadline. What cannot be understood ends the conversation.
 */
import type { Socket } from 'node:net'
import { describeError } from '../errors.ts'
import { isRecord } from '../shape.ts'
import { longestLineBytes, shortened } from './protocol.ts'

export type Body = Record<string, unknown>
/** `why` is for people. */
export type Reply = { ok: true; body: Body } | { ok: false; why: string }

export type TalkParts = {
  socket: Socket
  /** Answers a question. What it throws is told to the other side. */
  serve: (verb: string, body: Body) => Promise<Body>
  /** Called once, when the conversation has ended. */
  closed: (why: string) => void
  /** The other side is gone when it has said nothing for so long. */
  silenceMs: number
}

/** Questions of one side that are not answered yet. */
const mostOpen = 32
/** A peer with so much unread does not read. */
const mostUnreadBytes = 4 * longestLineBytes

export class Talk {
  readonly #parts: TalkParts
  readonly #open = new Map<number, (reply: Reply) => void>()
  readonly #silence: NodeJS.Timeout
  #rest = ''
  #nextId = 1
  #serving = 0
  #why: string | undefined

  constructor(parts: TalkParts) {
    this.#parts = parts
    const { socket, silenceMs } = parts
    this.#silence = setTimeout(() => this.close(`nothing was heard for ${silenceMs} ms`), silenceMs).unref()
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#read(text))
    socket.on('error', (error) => this.close(error.message))
    socket.on('close', () => this.close('the other side has closed the connection'))
    socket.resume()
  }

  get isClosed(): boolean {
    return this.#why !== undefined
  }

  /** Resolves by the deadline, whatever happens. */
  ask(verb: string, body: Body, deadlineMs: number): Promise<Reply> {
    if (this.#why !== undefined) return Promise.resolve({ ok: false, why: this.#why })
    if (this.#open.size >= mostOpen) return Promise.resolve({ ok: false, why: 'too many questions are open' })
    const id = this.#nextId++
    return new Promise((resolve) => {
      const timer = setTimeout(() => answer({ ok: false, why: `no answer in ${deadlineMs} ms` }), deadlineMs)
      const answer = (reply: Reply) => {
        clearTimeout(timer)
        this.#open.delete(id)
        resolve(reply)
      }
      this.#open.set(id, answer)
      this.#say({ ...body, id, verb })
    })
  }

  close(why: string): void {
    if (this.#why !== undefined) return
    this.#why = why
    clearTimeout(this.#silence)
    this.#parts.socket.destroy()
    for (const answer of Array.from(this.#open.values())) answer({ ok: false, why })
    this.#parts.closed(why)
  }

  #say(line: Body): void {
    const { socket } = this.#parts
    if (socket.writableLength > mostUnreadBytes) return this.close('the other side does not read')
    socket.write(`${JSON.stringify(line)}\n`)
  }

  #read(text: string): void {
    this.#rest += text
    const lines = this.#rest.split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > longestLineBytes) return this.close('a line is too long')
    for (const line of lines) {
      if (this.isClosed) return
      this.#silence.refresh()
      this.#heard(line)
    }
  }

  #heard(line: string): void {
    const said = parsed(line)
    if (line.length >= longestLineBytes || !isRecord(said)) return this.close('a line is not of the protocol')
    const { id, re, verb, ok, why, ...body } = said
    if (typeof re === 'number') {
      const text = typeof why === 'string' ? shortened(why) : 'no reason was given'
      // An answer that came too late is nobody's any more.
      return this.#open.get(re)?.(ok === true ? { ok, body } : { ok: false, why: text })
    }
    if (typeof id !== 'number' || typeof verb !== 'string') return this.close('a line is not of the protocol')
    void this.#answer(id, verb, body)
  }

  async #answer(id: number, verb: string, body: Body): Promise<void> {
    if (this.#serving >= mostOpen) return this.close('the other side asks too much at once')
    this.#serving++
    const reply = await this.#parts.serve(verb, body).then(
      (answer): Body => ({ ...answer, re: id, ok: true }),
      (error: unknown): Body => ({ re: id, ok: false, why: shortened(describeError(error)) }),
    )
    this.#serving--
    if (!this.isClosed) this.#say(reply)
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
