/**
 * How fast the webhook answers, over TLS on the loopback, beside the least that a webhook can be (a route that parses and allows) and beside
 * Pepr, the TypeScript framework for webhooks, with a module that injects the same. All in one run, in turn, with reviews of a Deployment's pods
 * that all differ, as they do in a cluster: in their uids, names and service account volumes. Then pods of as many templates, a pod of 1 MiB, and
 * pods of many containers. What a million requests do to its memory: bench/webhook-memory.ts.
 *
 * Pepr comes from npm into the cache; where it cannot be had, its bounds are missed, and the rest is measured all the same.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cached } from '../scripts/cache.ts'
import { must } from '../scripts/command.ts'
import { describeError } from '../src/errors.ts'
import type { Pod } from '../webhook/pod.ts'
import { sampleConfig } from '../test/webhook/admission-fixtures.ts'
import { inject } from '../test/webhook/patched-pod.ts'
import { median } from './lib/beats.ts'
import type { Measured } from './lib/https-load.ts'
import { report, round, say, type Result } from './lib/report.ts'
import { serve } from './lib/served.ts'
import {
  allUnlike,
  deployment,
  expectPatch,
  largePod,
  ourWebhook,
  podOfContainers,
  prepareGround,
  reviewOf,
  root,
  type Contender,
  type Ground,
} from './lib/webhook-under-load.ts'

const rounds = 3
const roundMs = Number(process.env.REPRIEVE_BENCH_ROUND_MS ?? 4000)
const warmUpMs = roundMs / 2
const peprVersion = '1.1.4'
const peprStartMs = 30_000

const limits = {
  rps_vs_pepr: { least: 8 },
  p99_vs_pepr: 0.2,
  rps_vs_bare: { least: 0.4 },
  p99_1MiB_ms: 50,
  p99_1MiB_on_16_vs_bare: 1.5,
  // Twice as much for each container would be half way to a square.
  cost_per_container_500_vs_50: 2,
}

await report(limits, async (): Promise<Result> => {
  const ground = prepareGround()
  const { cert, key, ask } = ground
  const ours = await ourWebhook(ground)
  const bare: Contender = {
    name: 'bare',
    path: '/mutate',
    check: expectAllowed,
    served: await serve('the bare route', (port) => ({
      argv: [join(root, 'bench/peers/bare-route.js')],
      env: { PORT: String(port), CERT: cert, KEY: key },
    })),
  }
  const pepr = await peprModule(ground).catch((error: unknown) => {
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
  const unlike = await ask(ours, { atLeastMs: roundMs, ...allUnlike })
  const large = reviewOf(largePod())
  const contended = new Map<string, number[]>([ours, bare].map(({ name }) => [name, []]))
  for (let turn = 0; turn < rounds; turn++)
    for (const contender of turn % 2 === 0 ? [ours, bare] : [bare, ours]) {
      const { p99Ms } = await ask(contender, { atLeastMs: roundMs, ...large })
      contended.get(contender.name)?.push(p99Ms)
    }
  for (const { served } of contenders) if (served !== ours.served) await served.stop()

  const rps = (name: string) => median((measured.get(name) ?? []).map((one) => one.rps))
  const p99 = (name: string) => median((measured.get(name) ?? []).map((one) => one.p99Ms))
  const alone = { connections: 1, atLeastRequests: 200 }
  const largeAlone = await ask(ours, { ...alone, ...large })
  const contendedMs = (name: string) => median(contended.get(name) ?? [])
  const label = 'example.org/number'
  const few = await ask(ours, { ...alone, ...reviewOf(podOfContainers(50), { label }) })
  const many = await ask(ours, { ...alone, ...reviewOf(podOfContainers(500), { label }) })

  return {
    bench: 'webhook',
    ratios: {
      ...(pepr === undefined
        ? {}
        : { rps_vs_pepr: round(rps('ours') / rps('pepr')), p99_vs_pepr: round(p99('ours') / p99('pepr')) }),
      rps_vs_bare: round(rps('ours') / rps('bare')),
      p99_vs_bare: round(p99('ours') / p99('bare')),
      p99_1MiB_ms: round(largeAlone.p99Ms),
      // Sixteen of a mebibyte at once wait for each other, whoever answers: a route that only parses takes longer than 50 ms, too.
      p99_1MiB_on_16_vs_bare: round(contendedMs('ours') / contendedMs('bare')),
      cost_per_container_500_vs_50: round(many.p50Ms / few.p50Ms / 10),
    },
    figures: {
      ...Object.fromEntries(
        contenders.map(({ name }) => [name, { rps: Math.round(rps(name)), p99Ms: round(p99(name)) }]),
      ),
      oursOfOtherTemplates: { rps: Math.round(unlike.rps), p99Ms: round(unlike.p99Ms) },
      p50_1MiB_Ms: round(largeAlone.p50Ms),
      p99_1MiB_on16ConnectionsMs: round(contendedMs('ours')),
      bare_p99_1MiB_on16ConnectionsMs: round(contendedMs('bare')),
      of50ContainersMs: round(few.p50Ms),
      of500ContainersMs: round(many.p50Ms),
      rssMiB: round(ours.served.residentMiB()),
    },
  }
})

async function peprModule({ folder, cert, key, ask }: Ground): Promise<Contender> {
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

function expectAllowed(body: string): void {
  const { response } = JSON.parse(body) as { response?: { allowed?: boolean } }
  if (response?.allowed !== true) throw new Error(`not allowed: ${body.slice(0, 500)}`)
}
