/**
 * How fast the webhook answers, over TLS on the loopback, beside the least that a webhook can be (a route that parses and allows) and beside
 * Pepr, the TypeScript framework for webhooks, with a module that injects the same. All in one run, in turn, with the recorded review of a
 * Deployment's pod. Then a pod of 1 MiB, pods of many containers, and memory over a million requests (REPRIEVE_BENCH_REQUESTS).
 *
 * Pepr comes from npm into the cache; where it cannot be had, its bounds are missed, and the rest is measured all the same.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { makeAuthority, makeLeaf } from '../certs/authority.ts'
import { cached } from '../scripts/cache.ts'
import { must } from '../scripts/command.ts'
import { describeError } from '../src/errors.ts'
import type { Pod } from '../webhook/pod.ts'
import { recorded, sampleConfig } from '../test/webhook/admission-fixtures.ts'
import { inject } from '../test/webhook/patched-pod.ts'
import { median } from './lib/beats.ts'
import { load, type Load, type Measured } from './lib/https-load.ts'
import { clearAtEnd, report, round, say, type Result } from './lib/report.ts'
import { serve, type Served } from './lib/served.ts'

const connections = 16
const rounds = 3
const roundMs = Number(process.env.REPRIEVE_BENCH_ROUND_MS ?? 4000)
const warmUpMs = roundMs / 2
const soakRequests = Number(process.env.REPRIEVE_BENCH_REQUESTS ?? 1_000_000)
const peprVersion = '1.1.4'
const peprStartMs = 30_000
const root = join(import.meta.dirname, '..')

const limits = {
  rps_vs_pepr: { least: 8 },
  p99_vs_pepr: 0.2,
  rps_vs_bare: { least: 0.7 },
  p99_vs_bare: 1.5,
  p99_1MiB_ms: 50,
  rss_growth_MiB: 10,
  // Twice as much for each container would be half way to a square.
  cost_per_container_500_vs_50: 2,
}

type CertificateFiles = { cert: string; key: string }
type Ask = (contender: Contender, more?: Partial<Load>) => Promise<Measured>
type Contender = { name: string; served: Served; path: string; check: (body: string) => void }

const deployment = recorded('create-deployment-pod').request
const deploymentReview = Buffer.from(recorded('create-deployment-pod').text)

await report(limits, async (): Promise<Result> => {
  const folder = mkdtempSync('/var/tmp/reprieve-bench-')
  clearAtEnd(async () => rmSync(folder, { recursive: true, force: true }))
  const authority = makeAuthority('bench', { from: new Date(), days: 2 })
  const leaf = makeLeaf(authority, ['localhost'], { from: new Date(), days: 2 })
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  writeFileSync(cert, leaf.cert)
  writeFileSync(key, leaf.key)

  const ask: Ask = ({ served, path, check }, more = {}) =>
    load({
      port: served.port,
      path,
      check,
      body: deploymentReview,
      authority: authority.cert,
      connections,
      ...more,
    })

  const ours = await ourWebhook(folder, { cert, key })
  const bare: Contender = {
    name: 'bare',
    path: '/mutate',
    check: expectAllowed,
    served: await serve('the bare route', (port) => ({
      argv: [join(root, 'bench/peers/bare-route.js')],
      env: { PORT: String(port), CERT: cert, KEY: key },
    })),
  }
  const pepr = await peprModule(folder, { cert, key }, ask).catch((error: unknown) => {
    say(`Pepr is not measured: ${describeError(error)}`)
    return undefined
  })
  const contenders = [ours, bare, ...(pepr === undefined ? [] : [pepr])]
  for (const contender of contenders) await ask(contender, { atLeastMs: warmUpMs })
  const measured = new Map<string, Measured[]>(contenders.map(({ name }) => [name, []]))
  for (let turn = 0; turn < rounds; turn++)
    for (const contender of turn % 2 === 0 ? contenders : contenders.toReversed()) {
      const one = await ask(contender, { atLeastMs: roundMs })
      measured.get(contender.name)?.push(one)
      say(`${contender.name}: ${Math.round(one.rps)} requests a second, p99 ${round(one.p99Ms)} ms`)
    }
  for (const { served } of contenders.slice(1)) await served.stop()

  const rps = (name: string) => median((measured.get(name) ?? []).map((one) => one.rps))
  const p99 = (name: string) => median((measured.get(name) ?? []).map((one) => one.p99Ms))
  const alone = { connections: 1, atLeastRequests: 200 }
  const large = await ask(ours, { ...alone, body: reviewOf(largePod()) })
  const few = await ask(ours, { ...alone, body: reviewOf(podOfContainers(50)) })
  const many = await ask(ours, { ...alone, body: reviewOf(podOfContainers(500)) })

  await ask(ours, { atLeastRequests: Math.ceil(soakRequests / 10) })
  const before = await idleMiB(ours.served)
  const soaked = await ask(ours, { atLeastRequests: Math.floor((soakRequests * 9) / 10) })
  const after = await idleMiB(ours.served)
  return {
    bench: 'webhook',
    ratios: {
      ...(pepr === undefined
        ? {}
        : { rps_vs_pepr: round(rps('ours') / rps('pepr')), p99_vs_pepr: round(p99('ours') / p99('pepr')) }),
      rps_vs_bare: round(rps('ours') / rps('bare')),
      p99_vs_bare: round(p99('ours') / p99('bare')),
      p99_1MiB_ms: round(large.p99Ms),
      rss_growth_MiB: round(after - before),
      cost_per_container_500_vs_50: round(many.p50Ms / few.p50Ms / 10),
    },
    figures: {
      ...Object.fromEntries(
        contenders.map(({ name }) => [name, { rps: Math.round(rps(name)), p99Ms: round(p99(name)) }]),
      ),
      p50_1MiB_Ms: round(large.p50Ms),
      of50ContainersMs: round(few.p50Ms),
      of500ContainersMs: round(many.p50Ms),
      soakedRequests: soaked.requests,
      rssMiB: round(after),
    },
  }
})

/** What is kept once it is idle: not what a busy moment has not yet given back. */
async function idleMiB(served: Served): Promise<number> {
  await delay(5000)
  return served.residentMiB()
}

async function ourWebhook(folder: string, { cert, key }: CertificateFiles): Promise<Contender> {
  const configuration = (port: number) => ({
    image: 'reprieve:bench',
    stores: { default: { hostPath: { path: '/var/lib/reprieve' } } },
    listen: { host: '127.0.0.1', port, adminHost: '127.0.0.1', adminPort: 0, certFile: cert, keyFile: key },
  })
  const served = await serve('the webhook', (port) => {
    const file = join(folder, 'config.yaml')
    writeFileSync(file, stringify(configuration(port)))
    return { argv: [join(root, 'webhook/main.ts'), '--config', file] }
  })
  return { name: 'ours', served, path: '/mutate/namespace?timeout=10s', check: expectPatch }
}

async function peprModule(folder: string, { cert, key }: CertificateFiles, ask: Ask): Promise<Contender> {
  const home = await cached('npm', 'pepr', `pepr ${peprVersion}`, async (empty) => {
    say(`installing pepr ${peprVersion}`)
    writeFileSync(join(empty, 'package.json'), '{"name":"peer","private":true,"type":"module"}\n')
    const install = ['npm', 'install', '--no-audit', '--no-fund', '--legacy-peer-deps', `pepr@${peprVersion}`]
    await must([...install, '--prefix', empty], { deadlineMs: 300_000 })
  })
  const injection = join(folder, 'injection.json')
  writeFileSync(injection, JSON.stringify(injectionOf(deployment.object as Pod)))
  // In a folder below the installed one, so that `pepr` is found there.
  const place = join(home, 'module')
  mkdirSync(place, { recursive: true })
  const module = join(place, 'pepr-module.js')
  copyFileSync(join(root, 'bench/peers/pepr-module.js'), module)
  const served = await serve('Pepr', (port) => ({
    argv: [module],
    env: { PORT: String(port), CERT: cert, KEY: key, INJECTION: injection, LOG_LEVEL: 'info' },
  }))
  const contender: Contender = { name: 'pepr', served, path: '/mutate/bench?timeout=10s', check: expectPatch }
  // It listens some seconds before it knows its own paths.
  const until = performance.now() + peprStartMs
  for (;;) {
    const failure: unknown = await ask(contender, { connections: 1 }).catch((error: unknown) => error)
    if (!(failure instanceof Error)) return contender
    if (performance.now() > until) throw failure
    await delay(500)
  }
}

function reviewOf(object: Pod): Buffer {
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { ...deployment, object },
  }
  return Buffer.from(JSON.stringify(review))
}

function podOfContainers(count: number): Pod {
  const pod = structuredClone(deployment.object as Pod)
  const [first] = pod.spec.containers
  pod.spec.containers = Array.from({ length: count }, (_, index) => ({ ...first, name: `c${index}` }))
  return pod
}

/** By what makes pods large: environment. */
function largePod(): Pod {
  const pod = structuredClone(deployment.object as Pod)
  const env = Array.from({ length: 1024 }, (_, index) => ({
    name: `VARIABLE_${index}`,
    value: 'x'.repeat(1000),
  }))
  Object.assign(pod.spec.containers[0] ?? {}, { env })
  return pod
}

function injectionOf(pod: Pod): object {
  const injection = inject(pod, sampleConfig(), 'namespace', deployment.namespace ?? '')
  if (injection === undefined) throw new Error('the recorded pod is not injected')
  const { spec } = injection.after
  return {
    initContainers: spec.initContainers?.slice(0, 2),
    volumes: spec.volumes?.slice(-2),
    volumeMounts: spec.containers[0]?.volumeMounts?.slice(-1),
  }
}

function expectPatch(body: string): void {
  const { response } = JSON.parse(body) as { response?: { allowed?: boolean; patch?: string } }
  if (response?.allowed !== true || (response.patch ?? '').length < 1000)
    throw new Error(`not injected: ${body.slice(0, 500)}`)
}

function expectAllowed(body: string): void {
  const { response } = JSON.parse(body) as { response?: { allowed?: boolean } }
  if (response?.allowed !== true) throw new Error(`not allowed: ${body.slice(0, 500)}`)
}
