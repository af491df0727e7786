import t from 'tap'
import { apiHostOf, parseReference } from '../../../webhook/registry/reference.ts'

const digest = `sha256:${'a'.repeat(64)}`

t.test('a reference means what it means to the runtimes', async (t) => {
  const cases: [string, string, string, string][] = [
    ['ubuntu', 'docker.io', 'library/ubuntu', 'latest'],
    ['ubuntu:24.04', 'docker.io', 'library/ubuntu', '24.04'],
    ['team/app', 'docker.io', 'team/app', 'latest'],
    ['docker.io/ubuntu', 'docker.io', 'library/ubuntu', 'latest'],
    ['index.docker.io/ubuntu', 'docker.io', 'library/ubuntu', 'latest'],
    ['localhost/app', 'localhost', 'app', 'latest'],
    ['Host/app', 'Host', 'app', 'latest'],
    ['registry.example.com/app', 'registry.example.com', 'app', 'latest'],
    ['registry:5000/a/b/c:x', 'registry:5000', 'a/b/c', 'x'],
    ['[fd00::1]:5000/app', '[fd00::1]:5000', 'app', 'latest'],
    [`ghcr.io/a/b@${digest}`, 'ghcr.io', 'a/b', digest],
    [`ghcr.io/a/b:1@${digest}`, 'ghcr.io', 'a/b', digest],
    ['a__b/c.d-e--f', 'docker.io', 'a__b/c.d-e--f', 'latest'],
  ]
  for (const [text, domain, repository, target] of cases)
    t.match(parseReference(text), { domain, repository, target, byDigest: target === digest }, text)
  t.equal(apiHostOf('docker.io'), 'registry-1.docker.io')
  t.equal(apiHostOf('ghcr.io'), 'ghcr.io')
})

t.test('a text that is no reference is refused, however it was made', async (t) => {
  const texts = [
    '',
    ' ubuntu',
    'Ubuntu',
    'a:b:c',
    'a@b',
    `a@${digest}@${digest}`,
    'a@sha256:abc',
    'a@md5:00000000000000000000000000000000',
    'https://registry.example/app',
    'registry.example/../../etc',
    'registry.example/a//b',
    'registry.example/app?x=y',
    'registry.example/app#x',
    'user@registry.example/app',
    'registry.example:99999999/app',
    'registry.example/%2e%2e/app',
    'registry.example/app\r\nx: y',
    'ünïcode/app',
    `registry.example/${'a/'.repeat(200)}a`,
    `registry.example/${'a'.repeat(300_000)}`,
    `${'a-'.repeat(300)}`,
  ]
  for (const text of texts) t.equal(parseReference(text), undefined, text.slice(0, 60))
})
