import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Registry } from 'prom-client'
import t from 'tap'
import { until } from '../until.ts'
import { makeAuthority, makeLeaf, type KeyedCertificate } from '../../certs/authority.ts'
import { Trust } from '../../webhook/trust.ts'
import type { TestApiServer } from '../certs/api-server.ts'
import { dayMs, guardPath, mutatingPath, openCluster } from '../certs/cluster-stage.ts'
import { recorded } from './admission-fixtures.ts'
import { Client, leafTerms, logInto, startWebhook, type TestWebhook } from './running-webhook.ts'

const { text } = recorded('create-bare-pod')
const deadlineMs = 60_000

/** A webhook whose authority stands in every caBundle, unless a test says otherwise. */
async function setUp(
  test: { teardown: (done: () => unknown) => unknown },
  options: { published?: boolean; timeoutMs?: number; fault?: TestApiServer['fault'] } = {},
) {
  const server = await openCluster(test)
  if (options.fault !== undefined) server.fault = options.fault
  const started = await startWebhook(test as never, {
    api: server.api(options.timeoutMs ?? 2000),
    trustTimes: { soonMs: 50, everyMs: 50 },
  })
  const own = await readFile(join(started.folder, 'ca.crt'), 'utf8')
  if (options.published !== false) publish(server, own)
  return { server, own, ...started }
}

function publish(server: TestApiServer, bundle: string, paths = [mutatingPath, guardPath]): void {
  for (const path of paths) {
    const stored = server.objects.get(path)
    if (stored === undefined) continue
    const caBundle = Buffer.from(bundle).toString('base64')
    const webhooks = (stored.webhooks ?? []).map(({ name, clientConfig }) => ({
      name,
      clientConfig: { ...clientConfig, caBundle },
    }))
    server.put(path, { ...stored, webhooks })
  }
}

async function readiness({ webhook }: TestWebhook): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${webhook.adminPort}/readyz`)
  const said = (await answer.text()).trim()
  return answer.status === (said === 'ok' ? 200 : 503) ? said : `${answer.status} ${said}`
}

async function untilReadiness(started: TestWebhook, form: RegExp): Promise<string> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const said = await readiness(started)
    if (form.test(said)) return said
    if (performance.now() > end) throw new Error(`readiness is still "${said}", not ${form}`)
    await sleep(20)
  }
}

async function metric({ webhook }: TestWebhook, name: string): Promise<number> {
  const said = await (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text()
  return Number(new RegExp(`^reprieve_serving_certificate_${name} (\\S+)$`, 'm').exec(said)?.[1])
}

async function serve(folder: string, { cert, key }: KeyedCertificate): Promise<void> {
  await writeFile(join(folder, 'tls.key'), key)
  await writeFile(join(folder, 'tls.crt'), cert)
}

t.test(
  'a replica is ready when every caBundle trusts its certificate, and reports the one that does not',
  async (t) => {
    const started = await setUp(t, { published: false })
    const said = await untilReadiness(started, /caBundle/)
    for (const entry of ['pod.reprieve.dev', 'namespace.reprieve.dev', 'exec.reprieve.dev'])
      t.match(said, entry)
    t.equal(await metric(started, 'trusted'), 0)
    t.equal(await metric(started, 'verified_timestamp_seconds'), 0)
    publish(started.server, started.own, [mutatingPath])
    t.match(
      await untilReadiness(started, /: exec\.reprieve\.dev: no caBundle/),
      /^not ready: API servers would not trust/,
    )
    publish(started.server, started.own)
    t.equal(await untilReadiness(started, /^ok$/), 'ok')
    t.equal(await metric(started, 'trusted'), 1)
    t.ok(Math.abs((await metric(started, 'verified_timestamp_seconds')) - Date.now() / 1000) < 30)
    t.ok(Math.abs((await metric(started, 'expiry_timestamp_seconds')) - (Date.now() + 5 * dayMs) / 1000) < 60)
  },
)

t.test(
  'a replica becomes unready when another authority takes the place of its own, and goes on answering',
  async (t) => {
    const started = await setUp(t)
    await untilReadiness(started, /^ok$/)
    publish(started.server, makeAuthority('reprieve', { from: new Date(), days: 1 }).cert, [mutatingPath])
    const said = await untilReadiness(started, /would not trust/)
    t.match(said, /pod\.reprieve\.dev, namespace\.reprieve\.dev: /)
    t.notMatch(said, 'exec.reprieve.dev')
    t.ok(started.log.some(({ msg }) => msg === 'API servers do not trust the served certificate'))
    t.ok((await started.client.post('/mutate/pod', text)).review.response.patch, 'fail open')
    publish(started.server, started.own)
    await untilReadiness(started, /^ok$/)
  },
)

t.test('the guard’s configuration may be absent, and the other one, but not both', async (t) => {
  const started = await setUp(t)
  await untilReadiness(started, /^ok$/)
  const mutating = started.server.objects.get(mutatingPath)
  started.server.objects.delete(mutatingPath)
  publish(started.server, started.own)
  await sleep(200)
  t.equal(await readiness(started), 'ok')
  started.server.objects.delete(guardPath)
  await untilReadiness(started, /no webhook configuration reprieve has an entry/)
  if (mutating !== undefined) started.server.put(mutatingPath, mutating)
  t.equal(await untilReadiness(started, /^ok$/), 'ok')
})

t.test('the configurations are those of the name that the configuration gives', async (t) => {
  const { server, webhook } = await setUp(t)
  const at = { host: '127.0.0.1', port: webhook.port }
  const whyNotBy = async (configuration: string) => {
    const trust = new Trust({ registry: new Registry(), api: server.api(), configuration, log: logInto([]) })
    await trust.verify(at)
    return trust.whyNot()
  }
  t.match(await whyNotBy('other'), 'no webhook configuration other has an entry')
  for (const path of [mutatingPath, guardPath]) {
    const stored = server.objects.get(path)
    if (stored !== undefined) server.put(path.replace(/reprieve$/, 'other'), stored)
  }
  t.equal(await whyNotBy('other'), undefined)
})

t.test('an entry that names a URL is asked by its host', async (t) => {
  const started = await setUp(t)
  await untilReadiness(started, /^ok$/)
  const caBundle = Buffer.from(started.own).toString('base64')
  const at = (url: string) =>
    started.server.put(guardPath, {
      kind: 'ValidatingWebhookConfiguration',
      metadata: {},
      webhooks: [{ name: 'exec.reprieve.dev', clientConfig: { caBundle, url } as never }],
    })
  at('https://elsewhere.example:8443/validate')
  t.match(await untilReadiness(started, /would not trust/), 'not for elsewhere.example')
  at('https://localhost/validate')
  await untilReadiness(started, /^ok$/)
})

for (const fault of ['hang', 'drop', 403, 500] as const)
  t.test(`an API server that answers nothing of use (${fault}) changes nothing that was known`, async (t) => {
    const started = await setUp(t, { timeoutMs: 200, fault: () => fault })
    t.match(
      await untilReadiness(started, /cannot be read/),
      /^not ready: .*not been verified yet; what API servers trust/,
    )
    t.equal(
      started.log.filter(({ msg }) => msg === 'could not read what API servers trust').length,
      1,
      'told once',
    )
    started.server.fault = () => undefined
    await untilReadiness(started, /^ok$/)
    started.server.fault = () => fault
    await sleep(600)
    t.equal(await readiness(started), 'ok')
  })

t.test('a new leaf is served only when the API servers trust it', async (t) => {
  const started = await setUp(t)
  const { server, folder, client, own, log } = started
  await untilReadiness(started, /^ok$/)
  const before = await client.post('/mutate/pod', text)
  const authority = makeAuthority('reprieve', { from: new Date(), days: 5 })
  await serve(folder, makeLeaf(authority, leafTerms.dnsNames, { from: new Date(), days: 5 }))
  const told = () => log.filter((line) => /would not trust/.test(String(line.error))).length
  await until('that it is not trusted', told)
  await sleep(500)
  t.equal((await client.postAlone('/mutate/pod', text)).serial, before.serial, 'the old one is served')
  t.equal(await readiness(started), 'ok')
  t.equal(told(), 1, 'and that is told once')
  publish(server, authority.cert + own)
  const both = new Client(started.webhook.port, authority.cert + own)
  t.teardown(() => both.close())
  const serial = async () => (await both.postAlone('/mutate/pod', text)).serial
  await until('the new one', async () => (await serial()) !== before.serial)
  t.equal((await client.post('/mutate/pod', text)).localPort, before.localPort, 'no connection was dropped')
  t.equal(await readiness(started), 'ok')
})

t.test(
  'where the old authority is taken away at once, the new leaf is served as soon as it is there',
  async (t) => {
    const started = await setUp(t)
    await untilReadiness(started, /^ok$/)
    const authority = makeAuthority('other', { from: new Date(), days: 5 })
    publish(started.server, authority.cert)
    await untilReadiness(started, /would not trust/)
    await serve(started.folder, makeLeaf(authority, leafTerms.dnsNames, { from: new Date(), days: 5 }))
    await untilReadiness(started, /^ok$/)
  },
)

t.test('a leaf that expires while it is served: not ready, and it says so', async (t) => {
  const started = await setUp(t)
  await untilReadiness(started, /^ok$/)
  const authority = makeAuthority('short', { from: new Date(), days: 5 })
  publish(started.server, authority.cert + started.own)
  // It has to be looked at and served before.
  const days = 10 / 86_400
  await serve(started.folder, makeLeaf(authority, leafTerms.dnsNames, { from: new Date(), days }))
  t.match(await untilReadiness(started, /expired/), /^not ready: API servers would not trust/)
})

t.test('outside a cluster nobody is asked, and it is ready', async (t) => {
  const started = await startWebhook(t)
  t.equal(await readiness(started), 'ok')
  t.ok((await metric(started, 'expiry_timestamp_seconds')) > 0)
  t.ok(Number.isNaN(await metric(started, 'trusted')), 'what is not known has no figure')
})
