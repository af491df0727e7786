import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { admit } from '../../webhook/admit.ts'
import { until } from '../until.ts'
import { recorded, recordedReviews, sampleConfig } from './admission-fixtures.ts'
import { sample, startWebhook } from './running-webhook.ts'

const bare = recorded('create-bare-pod')
const errorLevel = 50
/** API servers close theirs after 90 s, which `make soak` waits for. Node's own default is 5 s. */
const idleMs = process.env.REPRIEVE_SOAK === '1' ? 91_000 : 6000
const failing = async () => {
  throw new Error('the registry fell over')
}

t.test('every recorded review gets over HTTPS the answer that was decided, on one connection', async (t) => {
  const { client, log } = await startWebhook(t)
  const config = sampleConfig()
  const ports = new Set<number>()
  for (const { name, text, request } of recordedReviews())
    for (const optedInBy of ['pod', 'namespace', 'restricted-namespace'] as const) {
      const reply = await client.post(`/mutate/${optedInBy}?timeout=10s`, text)
      ports.add(reply.localPort)
      t.equal(reply.status, 200, name)
      t.same(reply.review, {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: admit(request, optedInBy, config).response,
      })
    }
  t.equal(ports.size, 1, 'the connection was kept')
  t.match(
    log.find(({ uid }) => uid === bare.request.uid),
    { outcome: 'inject', lineage: 'ml-team/Pod/bare-train', namespace: 'ml-team' },
  )
  t.notMatch(JSON.stringify(log), 'time.sleep', 'no command of a pod is logged')
})

t.test('a warning says what the owner wrote, in any script', async (t) => {
  const { client } = await startWebhook(t)
  const review = JSON.parse(bare.text) as { request: { object: { metadata: { annotations: object } } } }
  const names = ['größe', '検査点', '\u{1f680}', 'a"b\\c']
  Object.assign(
    review.request.object.metadata.annotations,
    Object.fromEntries(names.map((name) => [`reprieve.dev/${name}`, 'x'])),
  )
  const { review: answer } = await client.post('/mutate/pod?timeout=10s', JSON.stringify(review))
  const warnings = (answer.response.warnings ?? []).join('\n')
  for (const name of names) t.ok(warnings.includes(`reprieve.dev/${name} is not an annotation`), name)
  t.ok(answer.response.patch, 'and it is protected')
})

t.test('a body that is no review gets an error and does no harm', async (t) => {
  const { client, log } = await startWebhook(t)
  const post = (body: string, headers?: Record<string, string>) =>
    client.postAlone('/mutate/pod', body, headers)
  t.equal((await post('not json')).status, 400)
  t.equal((await post('')).status, 400)
  t.equal((await post('null')).status, 400)
  t.equal((await post('[]')).status, 400)
  t.equal((await post('{}')).status, 400)
  t.equal((await post(bare.text.replace('admission.k8s.io/v1"', 'admission.k8s.io/v1beta1"'))).status, 400)
  t.equal((await post(bare.text, { 'content-type': 'text/html' })).status, 415)
  t.equal((await post(bare.text, { 'content-type': 'text/plain' })).status, 415)
  t.equal((await client.postAlone('/elsewhere', bare.text)).status, 404)
  t.equal((await post(bare.text)).status, 200, 'and the next one is served')
  t.notOk(log.some(({ level }) => level >= errorLevel))
})

t.test('a review with a uid that cannot be read otherwise is allowed, with a warning', async (t) => {
  const { client, webhook } = await startWebhook(t)
  const review = JSON.parse(bare.text) as { request: Record<string, unknown> }
  const broken = (change: Record<string, unknown>) =>
    JSON.stringify({ ...review, request: { ...review.request, ...change } })
  for (const change of [
    { operation: 7 },
    { kind: null },
    { object: { spec: 1 } },
    { object: null },
    { object: [] },
  ]) {
    const { status, review } = await client.post('/mutate/pod', broken(change))
    t.equal(status, 200)
    t.match(review.response, { uid: bare.request.uid, allowed: true, warnings: [/not protected/] })
    t.notOk(review.response.patch)
  }
  t.equal(
    sample(
      await webhook.metrics.text(),
      'reprieve_admissions_total{outcome="skip",reason="review-unreadable"}',
    ),
    5,
  )
})

t.test('a body that is too large is refused before it is read whole', async (t) => {
  const { client } = await startWebhook(t)
  const huge = JSON.stringify({ padding: 'x'.repeat(11 * 1024 * 1024) })
  const outcome = await client.postAlone('/mutate/pod', huge).then(
    ({ status }) => status,
    (error: NodeJS.ErrnoException) => error.code,
  )
  t.ok([413, 'EPIPE', 'ECONNRESET'].includes(outcome ?? ''), String(outcome))
  const large = JSON.parse(bare.text) as {
    request: { object: { metadata: { annotations: Record<string, string> } } }
  }
  large.request.object.metadata.annotations.padding = 'x'.repeat(5 * 1024 * 1024)
  t.ok(
    (await client.post('/mutate/pod', JSON.stringify(large))).review.response.patch,
    'a large one is served',
  )
})

t.test('a request that breaks off leaves the server as it was', async (t) => {
  const { client, webhook, folder } = await startWebhook(t)
  const ca = await readFile(join(folder, 'ca.crt'), 'utf8')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ host: '127.0.0.1', port: webhook.port, ca, servername: 'localhost' }, () => {
    socket.write(
      'POST /mutate/pod HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{"a"',
    )
    setTimeout(() => socket.destroy(), 50)
  })
  socket.on('close', () => resolve())
  socket.on('error', reject)
  await promise
  t.equal((await client.post('/mutate/pod', bare.text)).status, 200)
})

t.test('keys that mean something to JavaScript are data like any other', async (t) => {
  const { client } = await startWebhook(t)
  const poisoned = bare.text
    .replace(
      '"metadata":',
      '"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}, "metadata":',
    )
    .replace('"annotations":', '"labels": {"__proto__": "x"}, "annotations":')
  t.not(poisoned, bare.text)
  const { status, review } = await client.post('/mutate/pod', poisoned)
  t.equal(status, 200)
  t.ok(review.response.patch)
  t.notOk(Object.hasOwn(Object.prototype, 'polluted'))
})

t.test('an idle connection is kept for longer than an API server keeps it', async (t) => {
  const { client } = await startWebhook(t)
  const first = await client.post('/mutate/pod', bare.text)
  t.match(first.headers['keep-alive'], /timeout=120/)
  await sleep(idleMs)
  const second = await client.post('/mutate/pod', bare.text)
  t.equal(second.localPort, first.localPort)
})

t.test('an internal error lets the pod through, and is told and counted', async (t) => {
  const { client, webhook, log } = await startWebhook(t, { admit: failing })
  const { review } = await client.post('/mutate/pod', bare.text)
  t.match(review.response, { allowed: true, warnings: [/internal-error/] })
  t.equal(
    sample(await webhook.metrics.text(), 'reprieve_admissions_total{outcome="skip",reason="internal-error"}'),
    1,
  )
  t.match(
    log.find(({ level }) => level === errorLevel),
    { msg: 'failed open', error: 'the registry fell over', uid: bare.request.uid },
  )
})

t.test("the API server's deadline is kept", async (t) => {
  let givenMs = Number.NaN
  const { client, log } = await startWebhook(t, {
    admit: (_request, _by, _config, budgetMs) => {
      givenMs = budgetMs
      return new Promise(() => undefined)
    },
  })
  const { review } = await client.post('/mutate/pod?timeout=3s', bare.text)
  t.ok(givenMs > 0 && givenMs < 3000, `${givenMs} ms`)
  t.match(review.response, { allowed: true, warnings: [/deadline-passed/] })
  t.ok(log.some(({ level, msg }) => level === errorLevel && msg === 'failed open'))
})

t.test('a dry run is answered like any other, and not counted', async (t) => {
  const { client, webhook } = await startWebhook(t)
  const dry = bare.text
    .replace('"dryRun":false', '"dryRun":true')
    .replace('"dryRun": false', '"dryRun": true')
  t.not(dry, bare.text)
  const { review } = await client.post('/mutate/pod', dry)
  t.ok(review.response.patch)
  t.match(await webhook.metrics.text(), /outcome="inject",reason=""} 0\n/)
  await client.post('/mutate/pod', bare.text)
  t.match(await webhook.metrics.text(), /outcome="inject",reason=""} 1\n/)
})

t.test('reviews are answered while others are', async (t) => {
  const { client, webhook } = await startWebhook(t)
  const replies = await Promise.all(
    Array.from({ length: 50 }, () => client.postAlone('/mutate/pod', bare.text)),
  )
  t.ok(replies.every(({ status, review }) => status === 200 && review.response.patch !== undefined))
  t.match(await webhook.metrics.text(), /outcome="inject",reason=""} 50\n/)
})

t.test('a half-written pair of files changes nothing', async (t) => {
  const { client, folder, log } = await startWebhook(t)
  const { serial } = await client.post('/mutate/pod', bare.text)
  await writeFile(join(folder, 'tls.key'), '-----BEGIN PRIVATE KEY-----\n')
  await until('it to be looked at', () => log.some(({ msg }) => msg === 'kept the old serving certificate'))
  t.equal((await client.postAlone('/mutate/pod', bare.text)).serial, serial)
})
