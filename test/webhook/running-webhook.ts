/** A real webhook over HTTPS on a free port, with certificates made for it, and a client that verifies them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { keepInFolder } from '../../certs/keep.ts'
import type { EventLog } from '../../src/log.ts'
import type { Config } from '../../src/config.ts'
import type { AdmissionReview } from '../../webhook/review.ts'
import { serveWebhook, type RunningWebhook, type ServeOptions } from '../../webhook/serve.ts'
import { sampleConfig } from './admission-fixtures.ts'

export type LogLine = Record<string, unknown> & { level: number; msg: string }

export type TestWebhook = {
  webhook: RunningWebhook
  folder: string
  log: LogLine[]
  client: Client
}

type TestOptions = Partial<ServeOptions> & { alter?: (config: Config) => Config }

/** The second is what API servers ask for. */
export const leafTerms = {
  dnsNames: ['localhost', 'reprieve-webhook.reprieve-system.svc'],
  caDays: 10,
  leafDays: 5,
}

export async function startWebhook(
  test: { teardown: (done: () => Promise<void>) => unknown },
  { alter = (config) => config, ...options }: TestOptions = {},
): Promise<TestWebhook> {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-webhook-'))
  await keepInFolder(folder, leafTerms, new Date())
  const log: LogLine[] = []
  const webhook = await serveWebhook({
    config: alter(configFor(folder)),
    log: logInto(log),
    reloadEveryMs: 50,
    ...options,
  })
  const client = new Client(webhook.port, await readFile(join(folder, 'ca.crt'), 'utf8'))
  test.teardown(async () => {
    client.close()
    await webhook.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return { webhook, folder, log, client }
}

export function configFor(folder: string): Config {
  const config = sampleConfig()
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  return { ...config, listen: { ...config.listen, ...files, port: 0, adminPort: 0, drainMs: 1000 } }
}

export function logInto(lines: LogLine[]): EventLog {
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()) as LogLine)
      done()
    },
  })
  return pino<never>({ level: 'debug' }, stream)
}

/** The value of one series in Prometheus' text format, by its name and labels as they are printed; NaN where it is not there. */
export function sample(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length) ?? Number.NaN)
}

export type Reply = {
  status: number
  headers: Record<string, unknown>
  text: string
  review: AdmissionReview
  /** The serial number of the certificate the server showed, and the port the connection came from. */
  serial: string
  localPort: number
}

/** As an API server: HTTP/1.1, one connection kept alive. */
export class Client {
  readonly #agent: Agent
  readonly #port: number
  readonly #ca: string

  constructor(port: number, ca: string) {
    this.#port = port
    this.#ca = ca
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 })
  }

  post(
    path: string,
    body: string | Buffer,
    headers: Record<string, string> = {},
    agent: Agent = this.#agent,
    signal: AbortSignal = AbortSignal.timeout(60_000),
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const outgoing = request(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port: this.#port,
        ca: this.#ca,
        path,
        method: 'POST',
        agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...headers,
        },
        signal,
      },
      (incoming) => {
        const socket = incoming.socket as TLSSocket
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            review: JSON.parse(text) as AdmissionReview,
            serial: socket.getPeerCertificate().serialNumber,
            localPort: socket.localPort ?? 0,
          })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
    return promise
  }

  /** On a connection of its own. */
  async postAlone(
    path: string,
    body: string | Buffer,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Reply> {
    const agent = new Agent({ keepAlive: false })
    return this.post(path, body, headers, agent, signal).finally(() => agent.destroy())
  }

  close(): void {
    this.#agent.destroy()
  }
}
