import t from 'tap'
import { makeAuthority } from '../../certs/authority.ts'
import { certificatesIn } from '../../certs/certificate-set.ts'
import { createKubeApi } from '../../src/kube-api.ts'
import { token } from './api-server.ts'
import {
  bundlesIn,
  dayMs,
  guardPath,
  isTrusted,
  keeper,
  leasePath,
  mutatingPath,
  openCluster,
  secretIn,
  secretPath,
} from './cluster-stage.ts'

t.test('a first pass makes the Secret and every caBundle; a second only looks', async (t) => {
  const server = await openCluster(t)
  const { pass } = keeper(server)
  t.same(await pass(), { changed: ['made', 'published', 'published'], state: 'done' })
  const secret = server.objects.get(secretPath)
  t.match(secret, {
    type: 'kubernetes.io/tls',
    metadata: { labels: { 'app.kubernetes.io/part-of': 'reprieve' } },
  })
  t.same(Object.keys(secret?.data ?? {}).toSorted(), [
    'ca.crt',
    'ca.key',
    'leaves.json',
    'tls.crt',
    'tls.key',
  ])
  t.equal(bundlesIn(server).length, 3)
  for (const bundle of bundlesIn(server)) t.ok(isTrusted(secretIn(server).cert, bundle, server.now()))
  t.equal(server.objects.get(leasePath)?.spec?.holderIdentity, '', 'the lease is given back')
  server.requests.length = 0
  t.same(await pass(), { changed: [], state: 'done' })
  t.ok(
    server.requests.every((line) => line.startsWith('GET ')),
    server.requests.join(', '),
  )
})

for (const [without, present] of [
  ['the guard’s configuration', { mutating: true, guard: false }],
  ['the mutating configuration', { mutating: false, guard: true }],
  ['any configuration', { mutating: false, guard: false }],
] as const)
  t.test(`it works without ${without}, and publishes to it when it comes`, async (t) => {
    const server = await openCluster(t, present)
    const { pass } = keeper(server)
    t.equal((await pass()).state, 'done')
    t.ok(secretIn(server).cert)
    for (const bundle of bundlesIn(server)) t.ok(isTrusted(secretIn(server).cert, bundle, server.now()))
    const later = await openCluster(t)
    for (const path of [mutatingPath, guardPath])
      if (!server.objects.has(path))
        server.objects.set(path, structuredClone(later.objects.get(path) as never))
    await pass()
    t.equal(bundlesIn(server).length, 3)
    for (const bundle of bundlesIn(server)) t.ok(isTrusted(secretIn(server).cert, bundle, server.now()))
  })

t.test('a caBundle that was wiped is written again, and nothing else of the configuration', async (t) => {
  const server = await openCluster(t)
  const { pass } = keeper(server)
  await pass()
  const before = structuredClone(server.objects.get(mutatingPath))
  server.put(mutatingPath, {
    kind: 'MutatingWebhookConfiguration',
    metadata: { labels: { by: 'somebody' } },
    webhooks: (before?.webhooks ?? []).map(({ name, clientConfig: { service = {} } }) => ({
      name,
      clientConfig: { service },
    })),
  })
  t.same((await pass()).changed, ['published'])
  t.same(server.objects.get(mutatingPath)?.webhooks, before?.webhooks)
  t.match(server.objects.get(mutatingPath)?.metadata, { labels: { by: 'somebody' } })
})

t.test('keys that others have added to the Secret are kept', async (t) => {
  const server = await openCluster(t)
  server.put(secretPath, {
    kind: 'Secret',
    type: 'Opaque',
    metadata: { namespace: 'reprieve-system', annotations: { note: 'ours' } },
    data: { 'note.txt': 'aGVsbG8=' },
  })
  t.same((await keeper(server).pass()).changed, ['made', 'published', 'published'])
  t.match(server.objects.get(secretPath), {
    type: 'Opaque',
    metadata: { annotations: { note: 'ours' } },
    data: { 'note.txt': 'aGVsbG8=' },
  })
})

t.test('a rotation takes its time: a new authority is used only when it has settled', async (t) => {
  const server = await openCluster(t)
  let nowMs = 0
  const { pass } = keeper(server, { settleMs: 60_000, clock: () => nowMs })
  await pass()
  server.aheadMs = 170 * dayMs
  nowMs += 60_000
  t.same(await pass(), { changed: ['leaf'], state: 'done' })
  server.aheadMs = 201 * dayMs
  t.same(await pass(), { changed: ['authority', 'published', 'published'], state: 'settling' })
  const old = secretIn(server).cert
  t.same(await pass(), { changed: [], state: 'settling' })
  nowMs += 61_000
  t.same(await pass(), { changed: ['leaf'], state: 'done' })
  t.not(secretIn(server).cert, old)
  for (const bundle of bundlesIn(server)) t.equal(certificatesIn(bundle).length, 2)
  server.aheadMs = 260.5 * dayMs
  t.same((await pass()).changed, ['published', 'published', 'dropped'])
  for (const bundle of bundlesIn(server)) t.equal(certificatesIn(bundle).length, 1)
})

t.test('a process that begins anew waits anew for a new authority to settle', async (t) => {
  const server = await openCluster(t)
  let nowMs = 0
  const clock = () => nowMs
  for (const day of [0, 170]) {
    server.aheadMs = day * dayMs
    await keeper(server, { clock }).pass()
  }
  server.aheadMs = 201 * dayMs
  await keeper(server, { settleMs: 60_000, clock }).pass()
  nowMs += 61_000
  const second = keeper(server, { identity: 'two', settleMs: 60_000, clock })
  t.equal((await second.pass()).state, 'settling')
  nowMs += 61_000
  t.same(await second.pass(), { changed: ['leaf'], state: 'done' })
})

t.test('the API server’s clock counts, not ours', async (t) => {
  const server = await openCluster(t)
  server.aheadMs = 2000 * dayMs
  await keeper(server).pass()
  for (const bundle of bundlesIn(server)) t.ok(isTrusted(secretIn(server).cert, bundle, server.now()))
})

t.test('somebody who keeps changing things does not hold it for ever, and is told of', async (t) => {
  const server = await openCluster(t)
  let count = 0
  server.fault = ({ method, path }) => {
    const found = server.objects.get(path)
    if (method === 'PATCH' && found !== undefined)
      server.put(path, { ...found, metadata: { ...found.metadata, count: ++count } })
    return undefined
  }
  await t.rejects(keeper(server).pass(), {
    code: 'deadline-passed',
    message: /the last write: conflict.*reprieve-certs/,
  })
  t.ok(count > 3)
})

t.test('a Secret that may not be changed is told of in the API server’s words', async (t) => {
  const server = await openCluster(t)
  server.put(secretPath, {
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    immutable: true,
    metadata: {},
    data: {},
  })
  await t.rejects(keeper(server).pass(), {
    message: /write the Secret reprieve-certs.*422 \(data: field is immutable/,
  })
})

for (const status of [401, 403, 410, 429, 500, 503])
  t.test(
    `the API server answers ${status}: an error that says to what, and the next pass goes on`,
    async (t) => {
      const server = await openCluster(t)
      const { pass } = keeper(server)
      server.fault = ({ method }) => (method === 'GET' ? status : undefined)
      await t.rejects(pass(), { message: new RegExp(`could not read .*${status}`) })
      server.fault = ({ isWrite, path }) => (isWrite && !path.includes('/leases') ? status : undefined)
      await t.rejects(pass(), { message: new RegExp(`could not write the Secret .*${status}`) })
      server.fault = ({ method }) => (method === 'PATCH' ? status : undefined)
      await t.rejects(pass(), { message: new RegExp(`could not patch .*${status}`) })
      server.fault = () => undefined
      t.same(await pass(), { changed: ['published', 'published'], state: 'done' })
    },
  )

t.test('an API server that hangs or drops connections does not hold a pass up for ever', async (t) => {
  const server = await openCluster(t)
  const { pass } = keeper(server, { timeoutMs: 300 })
  for (const fault of ['hang', 'drop'] as const)
    for (const what of ['/secrets', '/leases', '/mutatingwebhookconfigurations']) {
      server.fault = ({ path }) => (path.includes(what) ? fault : undefined)
      await t.rejects(pass(), `${fault} ${what}`)
    }
  server.fault = () => undefined
  t.same((await pass()).state, 'done')
})

t.test('an API server of another authority is not talked to', async (t) => {
  const server = await openCluster(t)
  const { cert } = makeAuthority('other', { from: new Date(), days: 1 })
  const stranger = createKubeApi({
    host: '127.0.0.1',
    port: server.port,
    ca: cert,
    readToken: async () => token,
  })
  await t.rejects(stranger('GET', secretPath), /certificate/)
  t.same(server.requests, [])
})
