import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import type { Config } from '../../src/config.ts'
import { until } from '../until.ts'
import { keepInFolder } from '../../certs/keep.ts'
import { admit } from '../../webhook/admit.ts'
import { serveWebhook } from '../../webhook/serve.ts'
import { configFile, recorded } from './admission-fixtures.ts'
import { Client, configFor, leafTerms, logInto, startWebhook, type LogLine } from './running-webhook.ts'

const { text } = recorded('create-bare-pod')

async function temporary(test: { teardown: (done: () => Promise<void>) => unknown }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-serve-'))
  test.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('a renewed certificate is served to new connections, and the old ones go on', async (t) => {
  const { client, folder, log } = await startWebhook(t)
  const before = await client.post('/mutate/pod', text)
  // Most of its life is over: the next pass renews it.
  const later = new Date(Date.now() + 4 * 86_400_000)
  t.same((await keepInFolder(folder, leafTerms, later)).changed, ['leaf'])
  await until('it to be reloaded', () => log.some(({ msg }) => msg === 'reloaded the serving certificate'))
  const kept = await client.post('/mutate/pod', text)
  t.equal(kept.localPort, before.localPort, 'the connection under way was not dropped')
  t.equal(kept.status, 200)
  // The leaf is made for four days ahead, which a client that verifies does not take yet: so it is the new one.
  const fresh = await client.postAlone('/mutate/pod', text).catch((error: unknown) => error)
  t.match(String(fresh), /not yet valid/, 'a new connection sees the new leaf, of four days ahead')
})

t.test('health, readiness and metrics have a port of their own', async (t) => {
  const { webhook, client } = await startWebhook(t)
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${webhook.adminPort}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  t.same(await get('/healthz'), { status: 200, text: 'ok\n' })
  t.same(await get('/readyz'), { status: 200, text: 'ok\n' })
  await client.post('/mutate/pod', text)
  await client.post('/mutate/pod', recorded('create-daemonset-hostnetwork-pod').text)
  const metrics = (await get('/metrics')).text
  t.match(metrics, 'reprieve_admissions_total{outcome="inject",reason=""} 1\n')
  t.match(metrics, 'reprieve_admissions_total{outcome="skip",reason="not-opted-in"} 1\n')
})

t.test('the webhook waits for a certificate that is still being made, and is not ready before', async (t) => {
  const folder = await temporary(t)
  const config = configFor(folder)
  // An address of its own, where nobody else has the port.
  const [adminHost, adminPort] = [`127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}`, 18_080]
  const starting = serveWebhook({
    config: { ...config, listen: { ...config.listen, adminHost, adminPort } },
    log: logInto([]),
    certificateWaitMs: 60_000,
  })
  const readyz = () => fetch(`http://${adminHost}:${adminPort}/readyz`).then(({ status }) => status)
  t.equal(await until('it to be asked', () => readyz().catch(() => undefined)), 503)
  await keepInFolder(folder, leafTerms, new Date())
  const webhook = await starting
  t.equal(await readyz(), 200)
  await webhook.stop()
})

t.test('the webhook gives up in time without a certificate, and leaves nothing listening', async (t) => {
  const folder = await temporary(t)
  await t.rejects(serveWebhook({ config: configFor(folder), log: logInto([]), certificateWaitMs: 300 }), {
    code: 'deadline-passed',
  })
})

t.test('a shutdown answers what is under way', async (t) => {
  const [begun, decided] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { webhook, client } = await startWebhook(t, {
    alter: drainingForEver,
    admit: async (...all) => {
      begun.resolve()
      await decided.promise
      return admit(all[0], all[1], all[2])
    },
  })
  const answering = client.postAlone('/mutate/pod', text)
  await begun.promise
  const stopping = webhook.stop()
  decided.resolve()
  const [reply] = await Promise.all([answering, stopping])
  t.ok(reply.review.response.patch)
})

/** Who waits for all of it waits in vain: it ends when its clients have gone. */
function drainingForEver(config: Config): Config {
  return { ...config, listen: { ...config.listen, drainMs: 3_600_000 } }
}

/** As an API server that goes to another replica once it is told. */
async function untilTold(client: Client, answered: () => void): Promise<unknown> {
  for (;;) {
    const outcome = await client.post('/mutate/pod', text).catch((error: NodeJS.ErrnoException) => error.code)
    if (typeof outcome !== 'object' || outcome.status !== 200) return outcome
    if (outcome.headers.connection === 'close') return 'told'
    answered()
  }
}

t.test(
  'a shutdown loses no request of clients that keep their connections, and asks them to close these',
  async (t) => {
    const { webhook, folder } = await startWebhook(t, { alter: drainingForEver })
    const ca = await readFile(join(folder, 'ca.crt'), 'utf8')
    const clients = Array.from({ length: 8 }, () => new Client(webhook.port, ca))
    const answered = new Set<Client>()
    const asking = clients.map((client) => untilTold(client, () => answered.add(client)))
    await until('each to have a connection', () => answered.size === clients.length)
    await webhook.stop()
    t.same(
      await Promise.all(asking),
      clients.map(() => 'told'),
    )
    for (const client of clients) client.close()
  },
)

t.test('a shutdown has a deadline', async (t) => {
  const begun = Promise.withResolvers<void>()
  const admit = () => {
    begun.resolve()
    return new Promise<never>(() => {})
  }
  const { webhook, client } = await startWebhook(t, { admit })
  const answering = client.postAlone('/mutate/pod?timeout=30s', text).catch((error: unknown) => error)
  await begun.promise
  await webhook.stop()
  t.ok((await answering) instanceof Error)
})

t.test('the entry serves as its file says, and ends when told to', async (t) => {
  const folder = await temporary(t)
  await keepInFolder(join(folder, 'certs'), leafTerms, new Date())
  const file = join(folder, 'config.yaml')
  await cp(configFile, file)
  await writeFile(
    file,
    (await readFile(file, 'utf8'))
      .replace('port: 18443', 'port: 0')
      .replace('adminPort: 18080', 'adminPort: 0'),
  )
  const child = spawn(process.execPath, ['webhook/main.ts', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(async () => void child.kill('SIGKILL'))
  const lines: LogLine[] = []
  const listened = Promise.withResolvers<number>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const entry = JSON.parse(line) as LogLine & { port: number }
    lines.push(entry)
    if (entry.msg === 'listened') listened.resolve(entry.port)
  })
  const client = new Client(await listened.promise, await readFile(join(folder, 'certs/ca.crt'), 'utf8'))
  t.ok((await client.post('/mutate/pod', text)).review.response.patch)
  child.kill('SIGTERM')
  const [code] = (await once(child, 'exit')) as [number]
  client.close()
  t.equal(code, 0)
  t.ok(lines.some(({ msg }) => msg === 'stopped'))
})

t.test('the entry says what is wrong with its file, and fails', async (t) => {
  const folder = await temporary(t)
  const file = join(folder, 'config.yaml')
  await writeFile(file, 'keep: none\n')
  const child = spawn(process.execPath, ['webhook/main.ts', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 1)
  const said = Buffer.concat(chunks).toString()
  for (const problem of ['keep must be', 'image is required', 'stores.default is required'])
    t.match(said, problem)
})
