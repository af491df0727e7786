import t from 'tap'
import { cpuMs } from '../../cpu-time.ts'
import {
  readDockerCfg,
  readDockerConfigJson,
  type StoredCredential,
} from '../../../webhook/registry/docker-config.ts'
import { globMatches } from '../../../webhook/registry/host-glob.ts'
import { credentialsFor } from '../../../webhook/registry/keyring.ts'

const named = (...places: string[]): StoredCredential[] =>
  places.map((place) => ({ place, credential: { kind: 'password', username: place, password: 'x' } }))
const matching = (image: string, ...places: string[]) =>
  credentialsFor(image, named(...places)).map(
    (credential) => credential.kind === 'password' && credential.username,
  )

t.test('credentials are those that the kubelet would use, the most special first', async (t) => {
  const image = 'registry.example.com/team/app'
  for (const place of [
    'registry.example.com',
    'https://registry.example.com',
    'http://registry.example.com/',
    'https://registry.example.com/v1/',
    'https://registry.example.com/v2/',
    'registry.example.com/team',
    'registry.example.com/team/app',
    'registry.example.com/v2/team',
    '*.example.com',
    'r*y.*.com',
    'registr?.exampl[a-f].[^x]om',
    'registry.example.com/te',
  ])
    t.same(matching(image, place), [place], place)
  for (const place of [
    'example.com',
    '*.com',
    '*',
    'registry.example.com:443',
    'registry.example.com/other',
    'registry.example.com/team/app/more',
    'Registry.example.com',
    'evil.com/registry.example.com',
    'registry.example.com.evil.com',
    '',
    '[',
  ])
    t.same(matching(image, place), [], place)
  t.same(matching(image, '*.example.com', 'registry.example.com', 'registry.example.com/team'), [
    'registry.example.com/team',
    'registry.example.com',
    '*.example.com',
  ])
  t.same(matching('registry:5000/app', 'registry', 'registry:5000', 'registry:5001'), ['registry:5000'])
  t.same(matching('[fd00::1]:5000/app', '[fd00::1]:5000'), ['[fd00::1]:5000'])
})

t.test("docker's own registry is known by the name that docker writes", async (t) => {
  const image = 'docker.io/library/ubuntu'
  t.same(matching(image, 'https://index.docker.io/v1/'), ['https://index.docker.io/v1/'])
  t.same(matching(image, 'https://index.docker.io/v1/', 'docker.io'), ['docker.io'], 'its domain comes first')
  t.same(matching('ghcr.io/app', 'https://index.docker.io/v1/'), [])
})

t.test('a glob never takes long', async (t) => {
  const begun = cpuMs()
  t.notOk(globMatches(`${'*a'.repeat(500)}b`, 'a'.repeat(253)))
  t.ok(globMatches(`${'*'.repeat(1000)}`, 'a'.repeat(253)))
  t.ok(cpuMs() - begun < 500)
  t.notOk(globMatches('[a', 'a'))
  t.notOk(globMatches('a\\', 'a'))
  t.ok(globMatches('\\*', '*'))
})

t.test('both formats are read, and every way to write a credential', async (t) => {
  const entries = {
    encoded: {
      auth: Buffer.from('me:pass:word').toString('base64'),
      username: 'ignored',
      password: 'ignored',
    },
    unpadded: { auth: Buffer.from('me:pass').toString('base64').replaceAll('=', '') },
    plain: { username: 'me', password: '' },
    identity: { auth: Buffer.from('me:x').toString('base64'), identitytoken: 'token' },
    broken: { auth: '!!!' },
    'no-colon': { auth: Buffer.from('me').toString('base64') },
    empty: {},
    none: null,
    [`${'long'.repeat(500)}`]: { username: 'me', password: 'x' },
  }
  const expected = [
    { place: 'encoded', credential: { kind: 'password', username: 'me', password: 'pass:word' } },
    { place: 'unpadded', credential: { kind: 'password', username: 'me', password: 'pass' } },
    { place: 'plain', credential: { kind: 'password', username: 'me', password: '' } },
    { place: 'identity', credential: { kind: 'identity', token: 'token' } },
  ]
  t.same(readDockerConfigJson(JSON.stringify({ auths: entries, credsStore: 'x' })), expected)
  t.same(readDockerCfg(JSON.stringify(entries)), expected)
  for (const text of ['', '[]', 'null', '{"auths":[]}', '{"auths":{"a":1}}', '{'])
    t.same(readDockerConfigJson(text), [], text)
})
