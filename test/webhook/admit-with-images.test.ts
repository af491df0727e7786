/** From the review of a pod without a command to its patch: the real registry, Secrets from an API server, over HTTPS. */
import t from 'tap'
import { pino } from 'pino'
import type { KubeApi } from '../../src/kube-api.ts'
import { parsePodPlan, planVariable } from '../../src/pod-plan.ts'
import type { ImageParts } from '../../webhook/admit-with-images.ts'
import { apiOfPod, createImageParts } from '../../webhook/image-parts.ts'
import type { Operation } from '../../webhook/patch-text.ts'
import type { Pod } from '../../webhook/pod.ts'
import { recorded, sampleConfig, samplePod } from './admission-fixtures.ts'
import { applied } from './patched-pod.ts'
import { startRegistry, user } from './registry/docker-registry.ts'
import { pushImage, sampleImage } from './registry/oci-image.ts'
import { startQuirky } from './registry/quirky-registry.ts'
import { pullSecret, startSecretsApi } from './registry/secrets-api.ts'
import { configFor, logInto, startWebhook, type LogLine } from './running-webhook.ts'

const hanging: KubeApi = () => new Promise(() => undefined)
const template = recorded('create-bare-pod').request
const review = (pod: Pod) =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { ...template, namespace: 'ml-team', object: { apiVersion: 'v1', kind: 'Pod', ...pod } },
  })
const operationsIn = (patch = '') =>
  JSON.parse(Buffer.from(patch, 'base64').toString() || '[]') as Operation[]
const withoutCommand = (image: string, more: object = {}): Pod => {
  const pod = samplePod({ container: { image, ...more } })
  delete pod.spec.containers[0]?.command
  return pod
}

async function partsFor(
  plainHttp: string[],
  api?: Parameters<typeof createImageParts>[2],
): Promise<ImageParts> {
  const config = { ...sampleConfig().entrypoints, plainHttp, architecture: 'amd64' }
  const parts = await createImageParts(config, pino({ level: 'silent' }), api)
  if (parts === undefined) throw new Error('registries are not asked')
  return parts
}

t.test('a pod without a command is protected, and runs what its image would have run', async (t) => {
  const registry = await startRegistry(t, { auth: 'password' })
  const authorization = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
  const image = sampleImage({ Entrypoint: ['/bin/serve', '--home=$(HOME)'], Cmd: ['--quick'] })
  await pushImage(`http://${registry.host}/v2/team/app`, image, '1', { authorization })
  const { api } = await startSecretsApi(t, {
    'ml-team/registry': pullSecret({ [registry.host]: { username: user.name, password: user.password } }),
  })
  const { client, webhook } = await startWebhook(t, { images: await partsFor([registry.host], api) })
  const name = `${registry.host}/team/app:1`

  const pod = withoutCommand(name)
  pod.spec.imagePullSecrets = [{ name: 'registry' }]
  const { response } = (await client.post('/mutate/pod?timeout=10s', review(pod))).review
  t.match(response, { allowed: true, patchType: 'JSONPatch' })
  const after = applied(pod, operationsIn(response.patch))
  const run = ['/reprieve/bin/launcher', 'run', '--container=main', '--']
  t.match(after.spec.containers[0]?.command?.slice(1), run.slice(1))
  t.same(after.spec.containers[0]?.command?.slice(4), ['/bin/serve', '--home=$$(HOME)', '--quick'])
  t.notOk(Object.hasOwn(after.spec.containers[0] ?? {}, 'args'))

  const withArgs = withoutCommand(name, { args: ['--slow'] })
  withArgs.spec.imagePullSecrets = [{ name: 'registry' }]
  const other = applied(
    withArgs,
    operationsIn((await client.post('/mutate/pod?timeout=10s', review(withArgs))).review.response.patch),
  )
  t.same(other.spec.containers[0]?.command?.slice(4), ['/bin/serve', '--home=$$(HOME)'])
  t.same(other.spec.containers[0]?.args, ['--slow'])
  const prints = [after, other].map(planOf).map((plan) => plan.containers[0]?.fingerprint)
  t.not(prints[0], prints[1], 'what runs is part of what a checkpoint fits')

  const stranger = await client.post('/mutate/pod?timeout=10s', review(withoutCommand(name)))
  t.match(stranger.review.response, {
    allowed: false,
    status: {
      message: /write it there, since what its image "\S+" runs is not known: \S+ answers 401/,
    },
  })
  t.match(await webhook.metrics.text(), /outcome="refuse",reason="entrypoint-unknown"} 1\n/)
})

function planOf(pod: Pod) {
  const [restore] = pod.spec.initContainers ?? []
  const { env } = restore as unknown as { env: { name: string; value: string }[] }
  return parsePodPlan(env.find(({ name }) => name === planVariable)?.value ?? '')
}

t.test('a registry that hangs never costs the answer', async (t) => {
  const registry = await startQuirky(t, () => undefined)
  const { client } = await startWebhook(t, { images: await partsFor([registry.host]) })
  const body = review(withoutCommand(`${registry.host}/app:1`))
  const { response } = (await client.post('/mutate/pod?timeout=2s', body)).review
  // Not for the review's own deadline, which comes later.
  t.match(response, { allowed: true, warnings: [/not protected: .* did not answer in time/] })
})

t.test('an API server that hangs does not, either', async (t) => {
  const { client } = await startWebhook(t, { images: await partsFor([], hanging) })
  const pod = withoutCommand('registry.invalid/app:1')
  pod.spec.imagePullSecrets = [{ name: 'slow' }]
  const { response } = (await client.post('/mutate/pod?timeout=2s', review(pod))).review
  t.match(response, { allowed: true, warnings: [/not protected/] })
  t.notMatch(response, { warnings: [/deadline-passed/] })
})

t.test('no registry is asked for a pod that gives its command, or that nobody opted in', async (t) => {
  const registry = await startQuirky(t)
  const { client } = await startWebhook(t, { images: await partsFor([registry.host]) })
  const silent = withoutCommand(`${registry.host}/app:1`)
  silent.metadata.annotations = {}
  const system = recorded('create-bare-pod').request
  await client.post('/mutate/pod', review(samplePod({ container: { image: `${registry.host}/app:1` } })))
  await client.post('/mutate/pod', review(silent))
  await client.post(
    '/mutate/pod',
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: { ...system, namespace: 'kube-system', object: withoutCommand(`${registry.host}/app:1`) },
    }),
  )
  t.same(registry.asked, [])
})

t.test('one pod with many images does not take up the place of others', async (t) => {
  const registry = await startQuirky(t)
  const { client } = await startWebhook(t, { images: await partsFor([registry.host]) })
  const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
  const pod = samplePod({
    annotations: { 'reprieve.dev/containers': names.join(',') },
    spec: { containers: names.map((name) => ({ name, image: `${registry.host}/app:${name}` })) },
  })
  const { response } = (await client.post('/mutate/pod', review(pod))).review
  t.equal(registry.asked.length, 8)
  t.match(response.status?.message, /no more than 8 images are looked up for one pod/)
})

t.test('where registries are not to be asked, none is', async (t) => {
  const config = configFor('/nowhere')
  const log = pino({ level: 'silent' })
  t.equal(await createImageParts({ ...config.entrypoints, from: 'nowhere' }, log), undefined)
  const { client } = await startWebhook(t)
  const { response } = (await client.post('/mutate/pod', review(withoutCommand('app:1')))).review
  t.match(response, { allowed: false, status: { message: /its registry was not asked/ } })
})

t.test('a file of authorities that is none keeps the webhook from starting', async (t) => {
  const log = pino({ level: 'silent' })
  const config = sampleConfig().entrypoints
  for (const caFile of ['/nowhere/ca.pem', import.meta.filename])
    await t.rejects(createImageParts({ ...config, caFile }, log), {
      code: 'config-invalid',
      message: /entrypoints\.caFile/,
    })
})

t.test('without a token of its own the webhook says so, and looks up what anybody may see', async (t) => {
  for (const env of [{}, { KUBERNETES_SERVICE_HOST: '127.0.0.1' }]) {
    const lines: LogLine[] = []
    t.equal(await apiOfPod(env, logInto(lines)), undefined)
    t.match(lines, [
      { msg: 'the API server cannot be asked, neither for pull secrets nor for what it trusts', error: /\w/ },
    ])
  }
})
