/** The other end of the protocol: a real Unix socket, answered by the test. */
import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { scratch } from './launcher.ts'

/** For a machine that is busy. */
const generousMs = 60_000

export class Connection {
  readonly #socket: Socket
  readonly #lines = new Queue<string>()
  readonly closed: Promise<void>

  constructor(socket: Socket) {
    this.#socket = socket
    let rest = ''
    socket.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#lines.push(line)
    })
    this.closed = new Promise((done) => socket.on('close', () => done()))
    socket.on('error', () => socket.destroy())
  }
  next(withinMs = generousMs): Promise<string> {
    return this.#lines.next('a line from the launcher', withinMs)
  }
  say(...lines: string[]): void {
    this.#socket.write(lines.map((line) => line + '\n').join(''))
  }
  write(bytes: string | Buffer): void {
    this.#socket.write(bytes)
  }
  close(): void {
    this.#socket.destroy()
  }
}

class Queue<T> {
  readonly #items: T[] = []
  readonly #waiting: ((item: T) => void)[] = []

  push(item: T): void {
    const taker = this.#waiting.shift()
    if (taker) taker(item)
    else this.#items.push(item)
  }
  next(what: string, withinMs: number): Promise<T> {
    const item = this.#items.shift()
    if (item !== undefined) return Promise.resolve(item)
    return new Promise((done, fail) => {
      const taker = (next: T) => {
        clearTimeout(timer)
        done(next)
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(taker), 1)
        fail(new Error(`not within ${withinMs} ms: ${what}`))
      }, withinMs)
      timer.unref() // the server or the launcher keeps the test alive
      this.#waiting.push(taker)
    })
  }
}

export type FakeSidecar = {
  /** With a launcher that does not lose its patience before a busy machine has run the test's next line. */
  env: { REPRIEVE_SOCKET: string; REPRIEVE_PATIENCE_MS: string }
  /** The next connection that a launcher makes. */
  next(withinMs?: number): Promise<Connection>
  connections(): number
  stop(): Promise<void>
}

export async function fakeSidecar(t: Test, directory = scratch(t)): Promise<FakeSidecar> {
  const path = join(directory, 'sidecar.sock')
  const queue = new Queue<Connection>()
  const open = new Set<Connection>()
  let count = 0
  const server = createServer((socket) => {
    const connection = new Connection(socket)
    count++
    open.add(connection)
    queue.push(connection)
  })
  server.listen(path)
  await once(server, 'listening')
  // Anyone may connect, as in a pod.
  chmodSync(directory, 0o711)
  chmodSync(path, 0o666)
  const stop = async () => {
    for (const connection of open) connection.close()
    if (server.listening) await new Promise((done) => server.close(done))
  }
  t.teardown(stop)
  return {
    env: { REPRIEVE_SOCKET: path, REPRIEVE_PATIENCE_MS: '60000' },
    next: (withinMs = generousMs) => queue.next('a connection from the launcher', withinMs),
    connections: () => count,
    stop,
  }
}
