/**
 * What the control plane's two containers use, beside what manifests/base/deployment.yaml requests for them and allows them: the programs as
 * the image has them (types stripped), after ordinary work and at their peak. Resident memory, so pages of the program itself count
 * that replicas on one node share.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseAllDocuments, stringify } from 'yaml'
import { keepInFolder } from '../certs/keep.ts'
import { readStatNow } from '../src/process-stat.ts'
import { parseQuantityNanos } from '../src/quantity.ts'
import { stripFolders } from '../scripts/strip-types.ts'
import { clearAtEnd, report, round, say, type Result } from './lib/report.ts'
import { load } from './lib/https-load.ts'
import { deployment, nodeFlags, reviewOf } from './lib/webhook-under-load.ts'
import type { Pod } from '../webhook/pod.ts'
import { ControlPlane } from '../test/webhook/control-plane.ts'
import { freePort } from '../test/free-port.ts'

const root = join(import.meta.dirname, '..')
/** What one controller manager makes at its most (--kube-api-qps, by default). */
const podsPerSecond = 20
const ordinaryRequests = 5_000
const largeRequests = 200
/** As many as an API server has been seen to open. */
const connections = 16
const settleMs = 3_000
const startDeadlineMs = 60_000

type Container = {
  name: string
  resources: { requests: Record<string, string>; limits: Record<string, string> }
}

const limits = {
  webhook_memory_over_request: 1,
  webhook_peak_over_limit: 0.75,
  webhook_cpu_over_request: 1,
  certs_memory_over_request: 1,
  certs_peak_over_limit: 0.75,
}

await report(limits, async (): Promise<Result> => {
  const folder = mkdtempSync(join(tmpdir(), 'reprieve-control-plane-'))
  clearAtEnd(async () => rmSync(folder, { recursive: true, force: true }))
  stripFolders(root, ['src', 'webhook', 'certs'], folder)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const webhook = await measureWebhook(folder)
  const certs = await measureCerts(folder)
  const given = resources()
  const [ours, theirs] = [given('webhook'), given('certs')]
  return {
    bench: 'control-plane',
    ratios: {
      webhook_memory_over_request: round(webhook.idleMiB / ours.requestMiB),
      webhook_peak_over_limit: round(webhook.peakMiB / ours.limitMiB),
      webhook_cpu_over_request: round(webhook.coresAtRate / ours.cores),
      certs_memory_over_request: round(certs.idleMiB / theirs.requestMiB),
      certs_peak_over_limit: round(certs.peakMiB / theirs.limitMiB),
    },
    figures: { podsPerSecond, webhook, certs },
  }
})

async function measureWebhook(folder: string) {
  const terms = { dnsNames: ['localhost'], caDays: 3, leafDays: 1 }
  const files = join(folder, 'certificates')
  await keepInFolder(files, terms, new Date())
  const port = await freePort()
  const config = join(folder, 'config.yaml')
  const listen = { host: '127.0.0.1', port, adminHost: '127.0.0.1', adminPort: 0, certFile: join(files, 'tls.crt'), keyFile: join(files, 'tls.key') } // prettier-ignore
  const stores = { default: { hostPath: { path: '/var/lib/reprieve' } } }
  writeFileSync(config, stringify({ image: 'reprieve:bench', stores, listen }))
  const child = start([...nodeFlags(), join(folder, 'webhook/main.js'), '--config', config])
  await said(child, '"listened"')
  const pod = deployment.object as Pod
  const ask = (asked: ReturnType<typeof reviewOf>, atLeastRequests: number) =>
    load({
      port,
      path: '/mutate/namespace?timeout=10s',
      ...asked,
      authority: readFileSync(join(files, 'ca.crt'), 'utf8'),
      connections,
      atLeastRequests,
      check: (text) => {
        if (!text.includes('"patch"')) throw new Error(`no patch: ${text}`)
      },
    })
  await ask(reviewOf(pod, { indent: 2 }), ordinaryRequests)
  const before = cpuMs(child)
  const { requests } = await ask(reviewOf(pod, { indent: 2 }), ordinaryRequests)
  const perRequestMs = (cpuMs(child) - before) / requests
  await delay(settleMs)
  const [idleMiB, idleBefore] = [resident(child, 'VmRSS'), cpuMs(child)]
  await delay(settleMs)
  const idleCores = (cpuMs(child) - idleBefore) / settleMs
  // Pods of a mebibyte, on every connection at once.
  const large = structuredClone(pod)
  large.metadata.annotations = { ...large.metadata.annotations, padding: 'x'.repeat(2 ** 20) }
  await ask(reviewOf(large, { indent: 2 }), largeRequests)
  const peakMiB = resident(child, 'VmHWM')
  say(`webhook: ${idleMiB} MiB, ${peakMiB} MiB at its peak, ${round(perRequestMs)} ms of processor a pod`)
  await stop(child)
  return {
    idleMiB,
    peakMiB,
    cpuMsPerPod: round(perRequestMs),
    coresAtRate: round(idleCores + (perRequestMs * podsPerSecond) / 1000),
  }
}

/** It makes both certificates, publishes them, and looks at them again every second from then on. */
async function measureCerts(folder: string) {
  const plane = await ControlPlane.open({ teardown: (done) => clearAtEnd(async () => void (await done())) })
  const words =
    '--dns localhost --secret reprieve-system/reprieve-certs --webhook reprieve --every 1s --settle 1s'
  const certs = plane.startCerts('certs', words.split(' '), join(folder, 'certs/main.js'))
  await certs.line('kept the certificates', startDeadlineMs)
  await delay(settleMs)
  const [idleMiB, peakMiB] = [resident(certs, 'VmRSS'), resident(certs, 'VmHWM')]
  say(`certs: ${idleMiB} MiB, ${peakMiB} MiB at its peak`)
  await certs.kill('SIGTERM')
  return { idleMiB, peakMiB }
}

function start(argv: string[]): ChildProcess {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  clearAtEnd(async () => void child.kill('SIGKILL'))
  return child
}

/** Waits for the words on its standard output, which is read on, so that it never blocks. */
async function said(child: ChildProcess, words: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = setTimeout(() => reject(new Error(`it did not say ${words}`)), startDeadlineMs)
  child.stdout?.setEncoding('utf8').on('data', (text: string) => text.includes(words) && resolve())
  child.on('exit', (code) => reject(new Error(`it exited with ${code}`)))
  await promise.finally(() => clearTimeout(late))
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

function resident(child: Pick<ChildProcess, 'pid'>, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return round(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024)
}

function cpuMs(child: ChildProcess): number {
  return readStatNow(child.pid ?? 0)?.cpuMs ?? Number.NaN
}

/** Of the containers of the base's two Deployments. */
function resources(): (name: string) => { requestMiB: number; limitMiB: number; cores: number } {
  type Deployment = { spec: { template: { spec: { containers: Container[] } } } }
  const containers = ['deployment.yaml', 'certs.yaml']
    .flatMap((file) => parseAllDocuments(readFileSync(join(root, 'manifests/base', file), 'utf8')))
    .map((document) => document.toJS() as { kind: string })
    .flatMap((object) => (object.kind === 'Deployment' ? (object as unknown as Deployment).spec.template.spec.containers : [])) // prettier-ignore
  return (name) => {
    const found = containers.find((container) => container.name === name)
    if (found === undefined) throw new Error(`there is no container ${name}`)
    const { requests, limits: most } = found.resources
    return {
      requestMiB: number(requests.memory) / 2 ** 20,
      limitMiB: number(most.memory) / 2 ** 20,
      cores: number(requests.cpu),
    }
  }
}

function number(quantity: string | undefined): number {
  return Number(parseQuantityNanos(quantity ?? '') ?? Number.NaN) / 1e9
}
