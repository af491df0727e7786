/**
 * The webhook and what keeps its certificates as processes of their own, each in a mount namespace in which it finds a service account as in a
 * pod, with an API server and a kubelet that mounts the Secret. What is killed here is killed as a kernel does it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { token, type TestApiServer } from '../certs/api-server.ts'
import { openCluster, secretPath } from '../certs/cluster-stage.ts'
import { configFile } from './admission-fixtures.ts'
import type { LogLine } from './running-webhook.ts'

type Test = { teardown: (done: () => unknown) => unknown }

/** A tmpfs over /run, so that nothing is left of it outside; /var/run leads there. */
const asInPod =
  'mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && cp "$0"/* /run/secrets/kubernetes.io/serviceaccount/ && exec setpriv --pdeathsig KILL -- "$@"'
const startDeadlineMs = 60_000

export class ControlPlane {
  readonly server: TestApiServer
  readonly folder: string
  readonly #children = new Set<ChildProcess>()
  #mounts = 0
  /** Eight for each process that runs tests. */
  #nextPort = 20_000 + (process.pid % 1_500) * 8

  private constructor(server: TestApiServer, folder: string) {
    this.server = server
    this.folder = folder
  }

  static async open(test: Test): Promise<ControlPlane> {
    const server = await openCluster(test)
    const folder = await mkdtemp(join(tmpdir(), 'reprieve-control-plane-'))
    const plane = new ControlPlane(server, folder)
    mkdirSync(join(folder, 'account'))
    mkdirSync(join(folder, 'certs'))
    writeFileSync(join(folder, 'account/ca.crt'), server.ca)
    writeFileSync(join(folder, 'account/token'), token)
    const kubelet = setInterval(() => plane.#mount(), 200)
    test.teardown(async () => {
      clearInterval(kubelet)
      for (const child of plane.#children) child.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    })
    return plane
  }

  /** @param ports those of an earlier life */
  async startWebhook(name: string, ports = this.#ownPorts()): Promise<WebhookReplica> {
    const file = join(this.folder, `${name}.yaml`)
    const text = readFileSync(configFile, 'utf8')
      .replace('port: 18443', `port: ${ports.port}`)
      .replace('adminPort: 18080', `adminPort: ${ports.adminPort}`)
      .replace('certs/tls.crt', join(this.folder, 'certs/tls.crt'))
      .replace('certs/tls.key', join(this.folder, 'certs/tls.key'))
    writeFileSync(file, text)
    const replica = this.#start(name, ['webhook/main.ts', '--config', file])
    const listened = await replica.line('listened', startDeadlineMs)
    return {
      ...replica,
      name,
      ports: { port: Number(listened.port), adminPort: Number(listened.adminPort) },
    }
  }

  /** Below those that the kernel gives to others: while a replica is away nobody else may come to have its ports. */
  #ownPorts(): { port: number; adminPort: number } {
    return { port: this.#nextPort++, adminPort: this.#nextPort++ }
  }

  /** @param program another build of it */
  startCerts(name: string, words: string[], program = 'certs/main.ts'): PodProcess {
    return this.#start(name, [program, ...words])
  }

  #start(name: string, words: string[]): PodProcess {
    const argv = ['--mount', '--propagation', 'private', 'sh', '-c', asInPod, join(this.folder, 'account')]
    const child = spawn('unshare', [...argv, process.execPath, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: String(this.server.port),
      },
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    const log: LogLine[] = []
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) log.push(JSON.parse(line) as LogLine)
    })
    const line = async (msg: string, deadlineMs: number) => {
      const until = performance.now() + deadlineMs
      for (;;) {
        const found = log.find((one) => one.msg === msg)
        if (found !== undefined) return found
        if (child.exitCode !== null || performance.now() > until)
          throw new Error(`${name} did not say "${msg}": ${log.map((one) => JSON.stringify(one)).join('\n')}`)
        await sleep(20)
      }
    }
    const kill = async (signal: NodeJS.Signals) => {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      child.kill(signal)
      await exited
    }
    return { pid: child.pid ?? 0, log, line, kill }
  }

  /** As the kubelet's AtomicWriter does it: a new folder, then one rename of a symbolic link that all names lead through. */
  #mount(): void {
    const data = this.server.objects.get(secretPath)?.data
    const certs = join(this.folder, 'certs')
    if (data === undefined || data === this.#mounted) return
    this.#mounted = data
    const before = this.#mounts
    const next = join(certs, `..${++this.#mounts}`)
    mkdirSync(next)
    for (const file of ['tls.crt', 'tls.key']) {
      writeFileSync(join(next, file), Buffer.from(data[file] ?? '', 'base64'))
      if (before === 0) symlinkSync(join('..data', file), join(certs, file))
    }
    symlinkSync(`..${this.#mounts}`, join(certs, '..data_tmp'))
    renameSync(join(certs, '..data_tmp'), join(certs, '..data'))
    rmSync(join(certs, `..${before}`), { recursive: true, force: true })
  }
  #mounted: object | undefined
}

export type PodProcess = {
  /** All of it, from unshare(1) on, is one process that becomes the next. */
  pid: number
  log: LogLine[]
  line: (msg: string, deadlineMs: number) => Promise<LogLine>
  /** Resolves when it is gone. */
  kill: (signal: NodeJS.Signals) => Promise<void>
}

export type WebhookReplica = PodProcess & { name: string; ports: { port: number; adminPort: number } }

export async function readinessOf({ ports }: { ports: { adminPort: number } }): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${ports.adminPort}/readyz`, {
    signal: AbortSignal.timeout(15_000),
  })
  return (await answer.text()).trim()
}

export async function untilReady(replica: { ports: { adminPort: number } }): Promise<void> {
  const until = performance.now() + startDeadlineMs
  for (;;) {
    const said = await readinessOf(replica).catch((error: unknown) => String(error))
    if (said === 'ok') return
    if (performance.now() > until) throw new Error(`it is not ready: ${said}`)
    await sleep(50)
  }
}
