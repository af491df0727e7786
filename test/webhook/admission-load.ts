/** Requests at a steady rate, as API servers make them: on connections that are kept, and on new ones that trust the caBundle of just then. */
import { Agent, request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { serviceHost } from '../certs/cluster-stage.ts'
import { recorded } from './admission-fixtures.ts'

export type Asked = {
  replica: number
  kind: 'kept' | 'new'
  beganAt: number
  endedAt: number
  /** What it answered, or the error's code or message. */
  outcome: { status: number; text: string } | { error: string }
  /** The client's port: which connection it was. */
  localPort: number
}

export type LoadOptions = {
  perSecond: number
  ports: () => number[]
  /** PEM. */
  caBundle: () => string
}

const deadlineMs = 15_000
const keptConnections = 3
/** What cannot be begun now is begun later: a client without bound would only show how a machine that is too slow comes to a stand. */
const mostUnderWay = 100
const { text: body } = recorded('create-bare-pod')

/** Every third request is on a connection of its own; each replica is asked in turn. */
export class AdmissionLoad {
  readonly asked: Asked[] = []
  readonly #options: LoadOptions
  readonly #kept: { agent: Agent; ca: string }[]
  readonly #under = new Set<Promise<void>>()
  #isEnding = false
  #running: Promise<void> | undefined

  constructor(options: LoadOptions) {
    this.#options = options
    const ca = options.caBundle()
    this.#kept = options
      .ports()
      .map(() => ({ agent: new Agent({ keepAlive: true, maxSockets: keptConnections }), ca }))
  }

  begin(): void {
    this.#running = this.#run()
  }

  /** Ends when everything that was asked has an outcome. */
  async end(): Promise<Asked[]> {
    this.#isEnding = true
    await this.#running
    await Promise.all(this.#under)
    for (const { agent } of this.#kept) agent.destroy()
    return this.asked
  }

  async #run(): Promise<void> {
    // All connections that are to be kept, at once: an agent opens another one only when the others are busy, and so perhaps much later.
    const replicas = this.#kept.length
    for (let count = 0; count < replicas * keptConnections; count++) this.#ask(count % replicas, 'kept')
    await Promise.all(this.#under)
    const begun = performance.now()
    for (let count = 0; !this.#isEnding;) {
      const due = ((performance.now() - begun) / 1000) * this.#options.perSecond
      for (; count < due && this.#under.size < mostUnderWay; count++) {
        const ofReplicas = Math.floor(count / replicas)
        this.#ask(count % replicas, ofReplicas % 3 === 0 ? 'new' : 'kept')
      }
      await sleep(5)
    }
  }

  #ask(replica: number, kind: Asked['kind']): void {
    const ports = this.#options.ports()
    const { agent, ca } =
      (kind === 'kept' ? this.#kept[replica] : undefined) ??
      ({ agent: new Agent({ keepAlive: false }), ca: this.#options.caBundle() } as const)
    const beganAt = performance.now()
    const one = post(ports[replica] ?? 0, ca, agent).then(({ outcome, localPort }) => {
      this.asked.push({ replica, kind, beganAt, endedAt: performance.now(), outcome, localPort })
      if (kind === 'new') agent.destroy()
    })
    this.#under.add(one)
    void one.finally(() => this.#under.delete(one))
  }
}

function post(port: number, ca: string, agent: Agent): Promise<Pick<Asked, 'outcome' | 'localPort'>> {
  const { promise, resolve } = Promise.withResolvers<Pick<Asked, 'outcome' | 'localPort'>>()
  let localPort = 0
  const fail = (error: Error) =>
    resolve({
      outcome: { error: 'code' in error ? String(error.code) : error.message },
      localPort,
    })
  const outgoing = request({
    host: '127.0.0.1',
    port,
    servername: serviceHost,
    ca,
    agent,
    path: '/mutate/pod?timeout=10s',
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    signal: AbortSignal.timeout(deadlineMs),
  })
  outgoing.on('socket', (socket) =>
    socket.connecting
      ? socket.once('connect', () => (localPort = socket.localPort ?? 0))
      : (localPort = socket.localPort ?? 0),
  )
  outgoing.on('error', fail)
  outgoing.on('response', (incoming) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', fail)
    incoming.on('end', () =>
      resolve({
        outcome: { status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() },
        localPort,
      }),
    )
  })
  outgoing.end(body)
  return promise
}
