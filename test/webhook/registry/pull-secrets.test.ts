import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PullSecrets } from '../../../webhook/registry/pull-secrets.ts'
import { samplePod } from '../admission-fixtures.ts'
import { pullSecret, startSecretsApi } from './secrets-api.ts'

const entry = { username: 'me', password: 'x' }
const podWith = (...names: string[]) =>
  samplePod({ spec: { imagePullSecrets: names.map((name) => ({ name })) } })
const placesOf = (found: { stored: { place: string }[] }) => found.stored.map(({ place }) => place)

t.test('the secrets that a pod names are read, of both kinds, from its namespace', async (t) => {
  const { api, asked } = await startSecretsApi(t, {
    'ml-team/new': pullSecret({ 'new.example': entry }),
    'ml-team/old': pullSecret({ 'old.example': entry }, 'dockercfg'),
    'ml-team/other': { ...pullSecret({ 'other.example': entry }), type: 'Opaque' },
    'elsewhere/new': pullSecret({ 'elsewhere.example': entry }),
  })
  const secrets = new PullSecrets({ api })
  t.same(placesOf(await secrets.of(podWith('new', 'old', 'other'), 'ml-team')), [
    'new.example',
    'old.example',
  ])
  t.same(
    asked,
    ['new', 'old', 'other'].map((name) => `GET /api/v1/namespaces/ml-team/secrets/${name}`),
  )
  t.same(await secrets.of(samplePod(), 'ml-team'), { stored: [], problems: [] })
})

t.test('a secret is read once for the pods of half a minute, and a failure is not remembered', async (t) => {
  let now = 0
  const { api, asked, secrets: stored } = await startSecretsApi(t)
  const secrets = new PullSecrets({ api }, undefined, () => now)
  t.match(await secrets.of(podWith('new'), 'ml-team'), {
    stored: [],
    problems: [{ text: 'pull secret new cannot be read: there is no such secret', fault: 'owner' }],
  })
  stored.set('ml-team/new', pullSecret({ 'new.example': entry }))
  await Promise.all(Array.from({ length: 20 }, () => secrets.of(podWith('new'), 'ml-team')))
  t.same(placesOf(await secrets.of(podWith('new'), 'ml-team')), ['new.example'])
  t.equal(asked.length, 2)
  now += 31_000
  await secrets.of(podWith('new'), 'ml-team')
  t.equal(asked.length, 3)
})

t.test('names that are no names are not asked for, and neither are more than anybody needs', async (t) => {
  const { api, asked } = await startSecretsApi(t)
  const secrets = new PullSecrets({ api })
  const found = await secrets.of(podWith('../../../api/v1/secrets', 'a/b', 'A', '', 'x?y'), 'ml-team')
  t.equal(found.problems.length, 4, 'an empty one is as none')
  t.match((await secrets.of(podWith('new'), '../kube-system')).problems, [
    { text: 'pull secret new cannot be read: its name is not valid', fault: 'owner' },
  ])
  t.same(asked, [])
  await secrets.of(podWith(...Array.from({ length: 500 }, (_, index) => `s${index}`)), 'ml-team')
  t.equal(asked.length, 10)
})

t.test('a secret that is larger than any with credentials is not read', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`r${index}.example`, entry]))
  const { api } = await startSecretsApi(t, { 'ml-team/huge': pullSecret(many) })
  t.match(await new PullSecrets({ api }).of(podWith('huge'), 'ml-team'), {
    stored: [],
    problems: [{ text: /pull secret huge cannot be read: it is larger than 65536 bytes/, fault: 'owner' }],
  })
})

t.test('without an API server that is said, and the configured file serves every pod', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-credentials-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'config.json')
  const secrets = new PullSecrets({ api: undefined }, file)
  t.match(await secrets.of(podWith('new'), 'ml-team'), {
    stored: [],
    problems: [
      { text: 'pull secret new cannot be read: there is no API server', fault: 'elsewhere' },
      { text: /^the configured credentials cannot be read: /, fault: 'elsewhere' },
    ],
  })
  await writeFile(file, JSON.stringify({ auths: { 'usual.example': entry } }))
  t.same(placesOf(await secrets.of(samplePod(), 'ml-team')), ['usual.example'])
})

t.test('where secrets are not to be read none is, and the pod is not to blame', async (t) => {
  const { problems } = await new PullSecrets('ignored').of(podWith('new'), 'ml-team')
  t.match(problems, [{ text: /the webhook reads none \(entrypoints\.pullSecrets\)/, fault: 'elsewhere' }])
})

t.test('a namespace that gives no right is named as such', async (t) => {
  const secrets = new PullSecrets({ api: async () => ({ status: 403, body: {} }) })
  t.match((await secrets.of(podWith('new'), 'ml-team')).problems, [
    { text: /no right to in this namespace/, fault: 'elsewhere' },
  ])
})
