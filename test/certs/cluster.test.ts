import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeAuthority } from '../../certs/authority.ts'
import { ensureSecret, ensureTrust } from '../../certs/cluster.ts'
import { keepInCluster } from '../../certs/keep.ts'
import { createKubeApi, type KubeApi } from '../../src/kube-api.ts'
import { startApiServer } from './api-server.ts'

const names = { namespace: 'reprieve-system', secret: 'reprieve-certs', webhookConfiguration: 'reprieve' }
const dayMs = 86_400_000
const terms = (days = 0) => ({
  dnsNames: ['reprieve-webhook.reprieve-system.svc'],
  now: new Date(Date.now() + days * dayMs),
  caDays: 300,
  leafDays: 90,
})

const denied: KubeApi = async () => ({ status: 403, body: {} })
const busy: KubeApi = async (method) => ({ status: method === 'GET' ? 404 : 409, body: {} })
const readToken = async () => 'the-token'

async function setUp(test: { teardown: (done: () => Promise<void>) => unknown }) {
  const server = await startApiServer()
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-certs-'))
  test.teardown(async () => {
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { server, folder }
}

t.test(
  'a first pass writes the Secret, every caBundle and the files; a second changes nothing',
  async (t) => {
    const { server, folder } = await setUp(t)
    t.same((await keepInCluster(server.api, names, folder, terms())).changed, [
      'authority',
      'leaf',
      'bundle',
      'trust',
    ])
    const bundle = await readFile(join(folder, 'ca.crt'), 'utf8')
    for (const { clientConfig } of [...server.configuration.webhooks, ...server.guard.webhooks])
      t.equal(Buffer.from(clientConfig.caBundle ?? '', 'base64').toString(), bundle)
    t.same(Object.keys(server.secret()?.data ?? {}).toSorted(), ['ca.crt', 'ca.key', 'tls.crt', 'tls.key'])
    t.equal((await stat(join(folder, 'tls.key'))).mode & 0o777, 0o600)
    await t.rejects(stat(join(folder, 'ca.key')), { code: 'ENOENT' }, 'the CA key stays in the Secret')
    server.requests.length = 0
    t.same((await keepInCluster(server.api, names, folder, terms())).changed, [])
    t.ok(
      server.requests.every((line) => line.startsWith('GET ')),
      server.requests.join(', '),
    )
  },
)

t.test('of two replicas that begin at once, both serve what one of them made', async (t) => {
  const { server } = await setUp(t)
  server.beforeWrite(async () => void (await ensureSecret(server.api, names, terms())))
  const { set } = await ensureSecret(server.api, names, terms())
  const again = await ensureSecret(server.api, names, terms())
  t.same(again.set, set)
  t.same(again.changed, [])
})

t.test('a caBundle that was wiped is written again', async (t) => {
  const { server, folder } = await setUp(t)
  await keepInCluster(server.api, names, folder, terms())
  for (const { clientConfig } of server.configuration.webhooks) delete clientConfig.caBundle
  t.same((await keepInCluster(server.api, names, folder, terms())).changed, ['trust'])
  t.ok(server.configuration.webhooks.every(({ clientConfig }) => clientConfig.caBundle !== undefined))
})

t.test('a new authority is trusted before a leaf of it is served', async (t) => {
  const { server, folder } = await setUp(t)
  await keepInCluster(server.api, names, folder, terms())
  await keepInCluster(server.api, names, folder, terms(190))
  const leaf = await readFile(join(folder, 'tls.crt'), 'utf8')
  t.same((await keepInCluster(server.api, names, folder, terms(201))).changed, [
    'authority',
    'bundle',
    'trust',
  ])
  t.equal(await readFile(join(folder, 'tls.crt'), 'utf8'), leaf)
  t.same((await keepInCluster(server.api, names, folder, terms(201))).changed, ['leaf'])
  t.not(await readFile(join(folder, 'tls.crt'), 'utf8'), leaf)
})

t.test('a refusal of the API server is an error that says what was tried', async (t) => {
  await t.rejects(ensureSecret(denied, names, terms()), {
    code: 'command-failed',
    message: /read the Secret.*403/,
  })
  await t.rejects(ensureTrust(denied, names, ''), { message: /webhook configuration.*403/ })
})

t.test('a Secret that never stops changing does not hold it for ever', async (t) => {
  await t.rejects(ensureSecret(busy, names, terms()), { code: 'deadline-passed' })
})

t.test('an API server of another authority is not talked to', async (t) => {
  const { server } = await setUp(t)
  const { cert } = makeAuthority('other', { from: new Date(), days: 1 })
  const stranger = createKubeApi({ host: '127.0.0.1', port: server.port, ca: cert, readToken })
  await t.rejects(stranger('GET', '/api/v1/namespaces/x/secrets/y'), /certificate/)
  t.same(server.requests, [])
})
