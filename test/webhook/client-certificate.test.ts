/** API servers that show a certificate, and whoever passes for one. The certificates are made by openssl, as an administrator makes them. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { pino } from 'pino'
import { makeLeaf } from '../../certs/authority.ts'
import type { KubeApi } from '../../src/kube-api.ts'
import { parseConfig, type Config } from '../../src/config.ts'
import { createImageParts } from '../../webhook/image-parts.ts'
import type { Pod } from '../../webhook/pod.ts'
import { recorded, samplePod } from './admission-fixtures.ts'
import { until } from '../until.ts'
import { startRegistry, user } from './registry/docker-registry.ts'
import { pushImage, sampleImage } from './registry/oci-image.ts'
import { pullSecret, startSecretsApi } from './registry/secrets-api.ts'
import { leafTerms, startWebhook, type Client } from './running-webhook.ts'

type Identity = { cert: string; key: string }

/** An authority and a client certificate of it, with `subject` and what it may be used for. */
async function authorityOf(t: Test, name: string) {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-client-ca-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' })
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl(
    'req',
    '-x509',
    ...curve,
    '-subj',
    `/CN=${name}`,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
  )
  const client = async (usage: string, notAfter = '20991231000000Z'): Promise<Identity> => {
    openssl('req', ...curve, '-subj', '/CN=kube-apiserver', '-keyout', 'client.key', '-out', 'client.csr')
    await writeFile(join(folder, 'usage'), `extendedKeyUsage=${usage}\n`)
    const dates = ['-not_before', '20200101000000Z', '-not_after', notAfter]
    const issue = [
      'x509',
      '-req',
      '-in',
      'client.csr',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-extfile',
      'usage',
    ]
    try {
      openssl(...issue, ...dates, '-out', 'client.crt')
    } catch {
      // Before OpenSSL 3.4 only a number of days could be said.
      openssl(...issue, '-days', notAfter.startsWith('2020') ? '-1' : '2', '-out', 'client.crt')
    }
    const [cert, key] = ['client.crt', 'client.key'].map((file) => readFileSync(join(folder, file), 'utf8'))
    return { cert: cert ?? '', key: key ?? '' }
  }
  return { file: join(folder, 'ca.crt'), client }
}

const asking = (clientCaFile: string) => (config: Config) => ({
  ...config,
  listen: { ...config.listen, clientCaFile },
})
const template = recorded('create-bare-pod').request
const reviewOf = (pod: Pod, namespace = 'ml-team') =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { ...template, namespace, object: { apiVersion: 'v1', kind: 'Pod', ...pod } },
  })

function postAs(client: Client, identity: Partial<Identity>, body: string, path = '/mutate/pod?timeout=10s') {
  const agent = new Agent({ ...identity, keepAlive: false })
  return client.post(path, body, {}, agent).finally(() => agent.destroy())
}

t.test('with listen.clientCaFile whoever is no API server is refused before a request is read', async (t) => {
  const ours = await authorityOf(t, 'api servers')
  const others = await authorityOf(t, 'somebody')
  const { client, webhook, folder, log } = await startWebhook(t, { alter: asking(ours.file) })
  const apiServer = await ours.client('clientAuth')
  const body = reviewOf(samplePod())
  const strangers: [string, Partial<Identity>][] = [
    ['nobody', {}],
    ['of another authority', await others.client('clientAuth')],
    ['a serving certificate', await ours.client('serverAuth')],
    ['an expired one', await ours.client('clientAuth', '20200201000000Z')],
  ]
  const refused = async () => {
    for (const [name, identity] of strangers)
      for (const path of ['/mutate/pod', '/mutate/namespace', '/validate'])
        await t.rejects(postAs(client, identity, body, path), { code: /ECONNRESET|EPIPE|ERR_SSL/ }, name)
  }
  await refused()
  t.match((await postAs(client, apiServer, body)).review.response, { allowed: true, patchType: 'JSONPatch' })
  t.match(await webhook.metrics.text(), /reprieve_admissions_total{outcome="inject",reason=""} 1\n/)
  const [cert = '', key = ''] = ['ca.crt', 'ca.key'].map((file) => readFileSync(join(folder, file), 'utf8'))
  const renewed = makeLeaf({ cert, key }, leafTerms.dnsNames, { from: new Date(), days: 5 })
  await writeFile(join(folder, 'tls.key'), renewed.key)
  await writeFile(join(folder, 'tls.crt'), renewed.cert)
  await until('another certificate is served', () =>
    log.some(({ event }) => event === 'certificate.reloaded'),
  )
  await refused()
})

t.test('a file that has no certificate keeps the webhook from starting', async (t) => {
  for (const file of ['/nowhere/ca.pem', import.meta.filename])
    await t.rejects(startWebhook(t, { alter: asking(file) }), {
      code: 'config-invalid',
      message: /listen\.clientCaFile/,
    })
})

/** A private image, and the secret of the namespace that may see it. */
async function victim(t: Test) {
  const registry = await startRegistry(t, { auth: 'password' })
  const authorization = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
  const image = sampleImage({ Entrypoint: ['/bin/serve', '--password=hunter2'] })
  await pushImage(`http://${registry.host}/v2/team/app`, image, '1', { authorization })
  const secrets = await startSecretsApi(t, {
    'victim/registry': pullSecret({ [registry.host]: { username: user.name, password: user.password } }),
  })
  const pod = samplePod({ container: { image: `${registry.host}/team/app:1` } })
  delete pod.spec.containers[0]?.command
  pod.spec.imagePullSecrets = [{ name: 'registry' }]
  return { registry, secrets, forged: reviewOf(pod, 'victim') }
}

async function partsFor(host: string, pullSecrets: 'ignore' | 'use', api: KubeApi) {
  const { entrypoints } = parseConfig('{image: x, stores: {default: {hostPath: {path: /x}}}}', 'x.yaml')
  const log = pino({ level: 'silent' })
  return createImageParts({ ...entrypoints, plainHttp: [host], pullSecrets, architecture: 'amd64' }, log, api)
}

t.test('a forged review does not log in with the secret of the namespace that it names', async (t) => {
  const { registry, secrets, forged } = await victim(t)
  const usual = await startWebhook(t, { images: await partsFor(registry.host, 'ignore', secrets.api) })
  const { response } = (await usual.client.post('/mutate/pod?timeout=10s', forged)).review
  t.same(secrets.asked, [], 'no secret is read unless that was configured')
  t.match(response, { allowed: true, warnings: [/not protected/] }, 'the pod starts all the same')
  t.notMatch(JSON.stringify(response), Buffer.from('hunter2').toString())
  t.notOk(Object.hasOwn(response, 'patch'))

  const ours = await authorityOf(t, 'api servers')
  const images = await partsFor(registry.host, 'use', secrets.api)
  const { client } = await startWebhook(t, { images, alter: asking(ours.file) })
  await t.rejects(postAs(client, {}, forged))
  t.same(secrets.asked, [], 'and then for nobody but an API server')
  const genuine = await postAs(client, await ours.client('clientAuth'), forged)
  const patch = Buffer.from(genuine.review.response.patch ?? '', 'base64').toString()
  t.match(patch, /--password=hunter2/)
  t.same(secrets.asked, ['GET /api/v1/namespaces/victim/secrets/registry'])
})

const text = (more: string) => `{image: x, stores: {default: {hostPath: {path: /x}}}, ${more}}`

t.test('a configuration that would read secrets for whoever asks is refused', async (t) => {
  t.throws(() => parseConfig(text('entrypoints: {pullSecrets: use}'), 'x.yaml'), {
    code: 'config-invalid',
    message: /entrypoints\.pullSecrets must be "ignore" without listen\.clientCaFile/,
  })
  const safe = parseConfig(
    text('entrypoints: {pullSecrets: use}, listen: {clientCaFile: ca.pem}'),
    '/etc/x.yaml',
  )
  t.match(safe, { entrypoints: { pullSecrets: 'use' }, listen: { clientCaFile: '/etc/ca.pem' } })
})
