/**
 * A server that gets more than it can do. What must hold: everybody has an answer well within the API server's time-out, nobody's connection is
 * dropped for it, the guard still judges, and afterwards all is as before.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import t from 'tap'
import { until } from '../until.ts'
import { stringify } from 'yaml'
import { keepInFolder } from '../../certs/keep.ts'
import { ImageLookUp } from '../../webhook/registry/image-look-up.ts'
import { PullSecrets } from '../../webhook/registry/pull-secrets.ts'
import { recorded, sampleConfig } from './admission-fixtures.ts'
import type { RunningWebhook } from '../../webhook/serve.ts'
import { sample, Client, leafTerms, startWebhook, type Reply } from './running-webhook.ts'

const bare = recorded('create-bare-pod')
const withoutCommand = recorded('create-cronjob-pod-no-command')
const guarded = recorded('connect-exec')
/** The API server's time-out, as the manifests have it, on a machine that has nothing else to do; three of it are for one that has. */
const timeoutMs = 30_000

async function timed(asking: Promise<Reply>): Promise<{ reply: Reply; tookMs: number }> {
  const begun = performance.now()
  const reply = await asking
  return { reply, tookMs: performance.now() - begun }
}

function byStatus(replies: Reply[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const reply of replies) counts[reply.status] = (counts[reply.status] ?? 0) + 1
  return counts
}

async function reading(webhook: RunningWebhook, series: string): Promise<number | undefined> {
  return sample(await webhook.metrics.text(), series)
}

t.test('a registry that hangs holds up no more pods than may wait', async (t) => {
  const entrypoints = { ...sampleConfig().entrypoints, budgetMs: 3_600_000 }
  const { promise: hangs, reject: giveUp } = Promise.withResolvers<never>()
  hangs.catch(() => undefined)
  const { webhook, client, log } = await startWebhook(t, {
    alter: (config) => ({ ...config, entrypoints, overload: { ...config.overload, requests: 20 } }),
    images: {
      lookUp: new ImageLookUp({
        config: entrypoints,
        log: pino({ level: 'silent' }),
        transport: () => hangs,
      }),
      secrets: new PullSecrets('ignored'),
    },
  })
  const asked = Array.from({ length: 100 }, () =>
    client.postAlone('/mutate/pod?timeout=30s', withoutCommand.text),
  )
  const told = (series: string) => reading(webhook, series)
  const refused = () => told('reprieve_overload_refusals_total{reason="requests"}')
  await until('all to have arrived', async () => (await refused()) === 80)
  const guard = await client.post('/validate?timeout=30s', guarded.text)
  t.equal(guard.review.response.uid, guarded.request.uid, 'the guard is not kept out')
  t.equal(await told('reprieve_reviews_in_flight'), 20, 'while the twenty wait')
  giveUp(new Error('hung'))
  const replies = await Promise.all(asked)
  t.same(byStatus(replies), { 200: 20, 503: 80 })
  for (const reply of replies) {
    if (reply.status === 503) {
      t.equal(reply.headers['retry-after'], '1', 'the API server may retry a pod that asked for protection')
      t.match(reply.text, /overload\.requests/)
    } else t.match(reply.review.response, { allowed: true, warnings: [/what its image/] })
  }
  t.ok(log.filter(({ msg }) => msg === 'was overloaded').length <= 5, 'it is not told of each')
  t.equal((await client.post('/mutate/pod', bare.text)).status, 200, 'and it goes on')
})

t.test('a review is refused before its body is read, and its connection stays open', async (t) => {
  const { webhook, client } = await startWebhook(t, {
    alter: (config) => ({ ...config, overload: { ...config.overload, requests: 1 } }),
    admit: () => new Promise(() => {}),
  })
  const held = client.postAlone('/mutate/namespace?timeout=8s', bare.text)
  await until('it to be under way', async () => (await reading(webhook, 'reprieve_reviews_in_flight')) === 1)
  const large = JSON.stringify({ padding: 'x'.repeat(1024 * 1024) })
  const first = await client.post('/mutate/namespace?timeout=10s', large)
  t.equal(first.status, 503)
  t.notOk(
    first.headers['retry-after'],
    'of pods that did not ask themselves, the failure policy decides at once',
  )
  const second = await client.post('/mutate/namespace?timeout=10s', large)
  t.equal(second.localPort, first.localPort)
  t.match((await held).review.response, { allowed: true, warnings: [/deadline-passed/] })
  t.equal(await reading(webhook, 'reprieve_overload_refusals_total{reason="requests"}'), 2)
  await until(
    'none to be under way',
    async () => (await reading(webhook, 'reprieve_reviews_in_flight')) === 0,
  )
})

t.test('a request that breaks off makes room again', async (t) => {
  const { webhook, client } = await startWebhook(t, { admit: () => new Promise(() => {}) })
  const underWay = (count: number) => async () =>
    (await reading(webhook, 'reprieve_reviews_in_flight')) === count
  const stop = new AbortController()
  const gone = client.postAlone('/mutate/pod?timeout=30s', bare.text, {}, stop.signal)
  gone.catch(() => undefined)
  await until('it to be under way', underWay(1))
  stop.abort()
  await until('none to be under way', underWay(0))
})

t.test(
  '500 connections that send half a mebibyte each are all answered in time, and then all is as before',
  async (t) => {
    const { port, adminPort, ca } = await ownProcess(t)
    const client = new Client(port, ca)
    t.teardown(async () => client.close())
    const review = JSON.parse(bare.text) as { request: { object: { metadata: { annotations: object } } } }
    Object.assign(review.request.object.metadata.annotations, { padding: 'x'.repeat(512 * 1024) })
    const body = Buffer.from(JSON.stringify(review))
    const replies = await Promise.all(
      Array.from({ length: 500 }, () => timed(client.postAlone('/mutate/namespace?timeout=10s', body))),
    )
    const counts = byStatus(replies.map(({ reply }) => reply))
    t.equal((counts[200] ?? 0) + (counts[503] ?? 0), 500, JSON.stringify(counts))
    t.ok((counts[200] ?? 0) > 0, 'some were decided on')
    t.ok((counts[503] ?? 0) > 0, 'it was too much: otherwise this shows nothing')
    for (const { reply } of replies)
      if (reply.status === 200) t.ok(reply.review.response.patch, 'a decision is a whole one')
    const slowestMs = Math.max(...replies.map(({ tookMs }) => tookMs))
    t.ok(slowestMs < timeoutMs, `the slowest took ${Math.round(slowestMs)} ms`)
    t.comment(`${JSON.stringify(counts)}, the slowest after ${Math.round(slowestMs)} ms`)
    t.equal((await client.post('/mutate/namespace?timeout=10s', body)).status, 200, 'it is itself again')
    const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
    t.match(metrics, /^reprieve_reviews_in_flight 0$/m)
    t.match(metrics, /^reprieve_reviews_in_flight_bytes 0$/m)
    t.match(metrics, /^reprieve_overload_refusals_total\{reason="(bytes|delay)"\} [1-9]/m)
  },
)

/** The entry itself, so that it shares no event loop with those who load it. */
async function ownProcess(test: { teardown: (done: () => Promise<void>) => unknown }) {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-overload-'))
  test.teardown(() => rm(folder, { recursive: true, force: true }))
  await keepInFolder(folder, leafTerms, new Date())
  const file = join(folder, 'config.yaml')
  const files = { certFile: 'tls.crt', keyFile: 'tls.key' }
  const listen = { host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0, ...files }
  const stores = { default: { hostPath: { path: '/var/lib/reprieve' } } }
  const overload = { bytes: '10Mi' }
  await writeFile(file, stringify({ image: 'reprieve:test', stores, listen, overload }))
  const child = spawn(process.execPath, ['webhook/main.ts', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  test.teardown(async () => void child.kill('SIGKILL'))
  const { promise, resolve } = Promise.withResolvers<{ port: number; adminPort: number }>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const entry = JSON.parse(line) as { msg: string; port: number; adminPort: number }
    if (entry.msg === 'listened') resolve(entry)
  })
  return { ...(await promise), ca: await readFile(join(folder, 'ca.crt'), 'utf8') }
}
