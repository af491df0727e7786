/** The real webhook, in a process of its own with a certificate by an authority of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { must } from '../scripts/command.ts'
import { within } from '../test/harness/deadline.ts'

/** As its Service would be called in a cluster: the name that the API server expects in the certificate. */
export const serviceName = 'reprieve-webhook.reprieve-system.svc'
export const reprieveReference = 'reprieve:demo'
/** The sidecar's, on 127.0.0.1 in the pod. */
export const statusPort = 9464

const root = join(import.meta.dirname, '..')
const startDeadlineMs = 20_000
const answerDeadlineMs = 10_000
const stopDeadlineMs = 5_000

export class WebhookProcess {
  readonly port: number
  readonly #child: ChildProcess
  readonly #authority: string

  private constructor(port: number, child: ChildProcess, authority: string) {
    this.port = port
    this.#child = child
    this.#authority = authority
  }

  /** @param folder for its files @param storeFolder the hostPath that the administrator gives as the store */
  static async start(folder: string, storeFolder: string): Promise<WebhookProcess> {
    const certificates = join(folder, 'certs')
    await must([process.execPath, join(root, 'certs/main.ts'), '--out', certificates, '--dns', serviceName])
    const configFile = join(folder, 'webhook.yaml')
    writeFileSync(configFile, stringify(configuration(certificates, storeFolder)))
    // Should the demo be killed itself, the webhook is told to end by the kernel.
    const argv = [
      '--pdeathsig',
      'TERM',
      process.execPath,
      join(root, 'webhook/main.ts'),
      '--config',
      configFile,
    ]
    const child = spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'pipe'] })
    try {
      const port = await listening(child)
      return new WebhookProcess(port, child, readFileSync(join(certificates, 'ca.crt'), 'utf8'))
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }

  /** Posts a review as an API server does: HTTPS, verified by the authority it was told to trust. */
  post(review: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        host: '127.0.0.1',
        port: this.port,
        path: '/mutate/pod?timeout=10s',
        method: 'POST',
        ca: this.#authority,
        servername: serviceName,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(answerDeadlineMs),
        agent: false,
      })
      outgoing.on('error', (error) => reject(new Error('the webhook did not answer', { cause: error })))
      outgoing.on('response', (incoming) => {
        let text = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => (text += chunk))
        incoming.on('error', reject)
        incoming.on('end', () =>
          incoming.statusCode === 200
            ? resolve(JSON.parse(text))
            : reject(new Error(`the webhook answered ${incoming.statusCode}: ${text}`)),
        )
      })
      outgoing.end(JSON.stringify(review))
    })
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = new Promise<true>((resolve) => this.#child.once('exit', () => resolve(true)))
    this.#child.kill('SIGTERM')
    if ((await within(exited, stopDeadlineMs)) === undefined) this.#child.kill('SIGKILL')
    await exited
  }
}

function configuration(certificates: string, storeFolder: string): object {
  return {
    image: reprieveReference,
    imagePullPolicy: 'Never',
    stores: { default: { hostPath: { path: storeFolder } } },
    checkpointBudget: '60s',
    restoreBudget: '60s',
    statusPort,
    listen: {
      host: '127.0.0.1',
      port: 0,
      adminHost: '127.0.0.1',
      adminPort: 0,
      certFile: join(certificates, 'tls.crt'),
      keyFile: join(certificates, 'tls.key'),
      drain: '2s',
    },
  }
}

/** Resolves with the port, which the webhook's log tells. */
async function listening(child: ChildProcess): Promise<number> {
  let output = ''
  const port = await within(
    new Promise<number>((resolve, reject) => {
      const read = (chunk: string) => {
        output += chunk
        const line = output.split('\n').find((text) => text.includes('"msg":"listened"'))
        if (line !== undefined && line.endsWith('}'))
          resolve(Number((JSON.parse(line) as { port: number }).port))
      }
      child.stdout?.setEncoding('utf8').on('data', read)
      child.stderr?.setEncoding('utf8').on('data', read)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`the webhook exited ${code}: ${output.trim()}`)))
    }),
    startDeadlineMs,
  )
  if (port === undefined)
    throw new Error(`the webhook did not listen within ${startDeadlineMs} ms: ${output.trim()}`)
  return port
}
