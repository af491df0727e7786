import { readFileSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import t from 'tap'
import { configKeys, schemaText } from '../../scripts/config-docs.ts'
import { loadConfig, parseConfig } from '../../src/config.ts'
import { ReprieveError } from '../../src/errors.ts'

const sample = new URL('../fixtures/config/webhook.yaml', import.meta.url).pathname
const least = 'image: reprieve:1\nstores:\n  default:\n    hostPath: { path: /var/lib/reprieve }\n'

function problemsOf(text: string): string[] {
  try {
    parseConfig(text, '/etc/reprieve/config.yaml')
  } catch (error) {
    if (error instanceof ReprieveError && error.code === 'config-invalid')
      return (error.data.problems as string[]) ?? []
    throw error
  }
  return []
}

t.test('the sample file is valid, and its file names are relative to it', async (t) => {
  const config = await loadConfig(sample)
  t.equal(config.image, 'docker.io/library/reprieve:test')
  t.equal(config.checkpointBudgetMs, 60_000)
  t.ok(config.listen.certFile.endsWith('/test/fixtures/config/certs/tls.crt'))
  t.same(config.stores.get('shared'), { nfs: { server: 'nfs.example', path: '/exports/checkpoints' } })
})

t.test('an image and a default store are all that must be said', async (t) => {
  const config = parseConfig(least, '/etc/reprieve/config.yaml')
  t.equal(config.keep, 3)
  t.equal(config.namespace, 'reprieve-system')
  t.equal(config.listen.webhookConfiguration, 'reprieve')
  t.same(config.sidecar.withoutCapabilities, [])
  t.same(config.stores.get('default'), { hostPath: { path: '/var/lib/reprieve', type: 'DirectoryOrCreate' } })
})

t.test(
  'a file without an image takes the one it is given, and one with an image keeps its own',
  async (t) => {
    const without = least.replace('image: reprieve:1\n', '')
    t.equal(parseConfig(without, 'x.yaml', { image: 'given:1' }).image, 'given:1')
    t.equal(parseConfig(least, 'x.yaml', { image: 'given:1' }).image, 'reprieve:1')
  },
)

t.test('a configuration is frozen through and through', async (t) => {
  const config = parseConfig(least, 'x.yaml')
  t.ok([config, config.listen, config.sidecar, config.sidecar.resources.requests].every(Object.isFrozen))
  t.ok(Object.isFrozen(config.stores.get('default')))
})

t.test('the clouds are found out, or named, with another address for tests and proxies', async (t) => {
  const { cloud, meanTimeBetweenFailuresMs } = parseConfig(least, 'x.yaml')
  t.strictSame(cloud, { name: 'auto' })
  t.equal(meanTimeBetweenFailuresMs, 86_400_000)
  const endpoints: [string, { host: string; port: number } | undefined][] = [
    ['http://127.0.0.1:1338', { host: '127.0.0.1', port: 1338 }],
    ['http://metadata.google.internal/', { host: 'metadata.google.internal', port: 80 }],
    ['http://[fd00:ec2::254]', { host: 'fd00:ec2::254', port: 80 }],
    ['http://127.0.0.1:0', undefined],
    ['http://127.0.0.1:65536', undefined],
    ['http://user@127.0.0.1', undefined],
    ['http://127.0.0.1/path', undefined],
    ['127.0.0.1', undefined],
  ]
  for (const [text, endpoint] of endpoints) {
    const file = `${least}cloud: aws\ncloudEndpoint: "${text}"\n`
    if (endpoint === undefined) t.match(problemsOf(file), [/^cloudEndpoint must be/], text)
    else t.strictSame(parseConfig(file, 'x.yaml').cloud, { name: 'aws', endpoint }, text)
  }
})

t.test('all problems are told at once, each with its path', async (t) => {
  const problems = problemsOf(`
image: ""
imagePullPolicy: Sometimes
keep: 0
checkpointBudget: 2d
statusPort: 70000
statusHost: 10.0.0.1
colour: red
cloud: moon
cloudEndpoint: https://169.254.169.254
meanTimeBetweenFailures: 1s
stores:
  Fast: { hostPath: { path: relative } }
  two: { hostPath: { path: /a }, nfs: { server: s, path: /b } }
  none: {}
  odd: { nfs: { server: s, path: /a/../b }, extra: 1 }
sidecar:
  withoutCapabilities: [SYS_ADMIN]
  resources: { requests: { memory: 2Gi }, limits: { memory: 1Gi } }
listen: { port: "8443", certFile: 3, webhookConfiguration: Reprieve/one }
`)
  const expected = [
    'stores.Fast must be named by a DNS label',
    'stores.Fast.hostPath.path must be an absolute path without "..", not "relative"',
    'stores.two must have exactly one of hostPath, nfs, persistentVolumeClaim, not {"hostPath":{"path":"/a","type":"DirectoryOrCreate"},"nfs":{…',
    'stores.none must have exactly one of hostPath, nfs, persistentVolumeClaim, not {}',
    'stores.odd must have exactly one of hostPath, nfs, persistentVolumeClaim, not {"nfs":{"server":"s","path":"/a/../b"},"extra":1}',
    'stores.odd.extra is not a known field',
    'stores.odd.nfs.path must be an absolute path without "..", not "/a/../b"',
    'stores.default is required: name where checkpoints go, for example `stores: { default: { nfs: { server: nfs.example.com, path: /exports/reprieve } } }` (or persistentVolumeClaim, or hostPath, which serves one node only)',
    'image must be an image reference, not ""',
    'imagePullPolicy must be one of IfNotPresent, Always, Never, not "Sometimes"',
    'keep must be a whole number from 1 to 100, not 0',
    'checkpointBudget must be a duration from 1s to 1h, for example 90s, not "2d"',
    'statusPort must be a whole number from 0 to 65535, not 70000',
    'statusHost must be one of 127.0.0.1, 0.0.0.0, ::, not "10.0.0.1"',
    'colour is not a known field',
    'cloud must be one of auto, none, aws, gcp, azure, not "moon"',
    'cloudEndpoint must be an address such as http://169.254.169.254 or http://[fd00:ec2::254]:80, not "https://169.254.169.254"',
    'meanTimeBetweenFailures must be a duration from 1m to 87600h, for example 24h, not "1s"',
    'sidecar.withoutCapabilities[0] must be one of SYS_RESOURCE, SYS_TIME, NET_ADMIN, DAC_READ_SEARCH, not "SYS_ADMIN"',
    'sidecar.resources.requests.memory must be at most its limit, 1Gi, not "2Gi"',
    'listen.port must be a whole number from 0 to 65535, not "8443"',
    'listen.certFile must be a text, not 3',
    'listen.webhookConfiguration must be the name of an object, not "Reprieve/one"',
  ]
  t.same(problems.toSorted(), expected.toSorted())
})

t.test('what is not YAML, not a mapping, or not there is a problem too', async (t) => {
  t.ok(problemsOf('a: [').length > 0)
  t.ok(problemsOf('- a').includes('the file must be a mapping, not ["a"]'))
  t.ok(problemsOf('').includes('the file must be a mapping, not null'))
  await t.rejects(loadConfig('/nonexistent/config.yaml'), { code: 'config-invalid' })
})

t.test('aliases, which could grow without bound, are refused', async (t) => {
  const text = `${await readFile(sample, 'utf8')}\nx: &a [1]\ny: *a\n`
  t.throws(() => parseConfig(text, 'x.yaml'), { code: 'config-invalid' })
})

t.test('where images are looked up is read with its defaults, or as it is said', async (t) => {
  const usual = parseConfig(least, '/etc/reprieve/config.yaml').entrypoints
  t.match(usual, {
    from: 'registry',
    budgetMs: 4000,
    plainHttp: [],
    insideRegistries: [],
    pullSecrets: 'ignore',
  })
  t.match(usual.architecture, /^(amd64|arm64)$/)
  t.equal(usual.caFile, undefined)
  const said = `${least}entrypoints:
  from: nowhere
  budget: 2s
  architecture: arm64
  plainHttp: ['registry.local:5000']
  mirrors: { docker.io: [mirror.local, 'harbor.example:8443/hub'] }
  insideRegistries: ['registry.corp:5000', 10.1.0.0/16, '[fd00::1]:5000', 'fd00::/8']
  pullSecrets: use
  caFile: ca.pem
  credentialsFile: /run/config.json
listen: { clientCaFile: client-ca.pem }
`
  t.same(parseConfig(said, '/etc/reprieve/config.yaml').entrypoints, {
    from: 'nowhere',
    budgetMs: 2000,
    architecture: 'arm64',
    plainHttp: ['registry.local:5000'],
    mirrors: new Map([['docker.io', ['mirror.local', 'harbor.example:8443/hub']]]),
    insideRegistries: ['registry.corp:5000', '10.1.0.0/16', '[fd00::1]:5000', 'fd00::/8'],
    pullSecrets: 'use',
    caFile: '/etc/reprieve/ca.pem',
    credentialsFile: '/run/config.json',
  })
  const wrong = `${least}entrypoints:
  from: everywhere
  budget: 1h
  plainHttp: ['http://registry.local']
  insideRegistries: [10.0.0.0/33, 'http://registry.local']
  pullSecrets: always
  mirrors: { 'docker io': [x], ghcr.io: ['https://mirror.local'] }
  retries: 3
`
  t.same(problemsOf(wrong).sort(), [
    'entrypoints.budget must be a duration from 500ms to 8s, not "1h"',
    'entrypoints.from must be one of registry, nowhere, not "everywhere"',
    'entrypoints.insideRegistries[0] must be a host, with a port if need be, or a range of addresses such as 10.20.0.0/16, not "10.0.0.0/33"',
    'entrypoints.insideRegistries[1] must be a host, with a port if need be, or a range of addresses such as 10.20.0.0/16, not "http://registry.local"',
    'entrypoints.mirrors.docker io must be named by the domain of images',
    'entrypoints.mirrors.ghcr.io[0] must be a host, with a port and a path if need be, not "https://mirror.local"',
    'entrypoints.plainHttp[0] must be a host, with a port if need be, not "http://registry.local"',
    'entrypoints.pullSecrets must be one of ignore, use, not "always"',
    'entrypoints.retries is not a known field',
  ])
})

t.test('the guard lets the masters in, or whom the file says, or nobody', async (t) => {
  const groups = (said: string) => parseConfig(`${least}${said}`, 'x.yaml').guard.allowedGroups
  t.same(groups(''), ['system:masters'])
  t.same(groups('guard: { allowedGroups: [operators, sre] }\n'), ['operators', 'sre'])
  t.same(groups('guard: { allowedGroups: [] }\n'), [])
  t.same(problemsOf(`${least}guard: { allowedGroups: [7], users: [me] }\n`), [
    'guard.users is not a known field',
    'guard.allowedGroups[0] must be the name of a group, not 7',
  ])
})

const memory = (nodeEviction: string) =>
  parseConfig(`${least}memory: { nodeEviction: "${nodeEviction}" }\n`, '/etc/x.yaml').memory

t.test('the threshold of eviction is a quantity or a share, as the kubelet takes it', async (t) => {
  t.match(memory('500Mi'), { nodeEvictionBytes: 500 * 2 ** 20, nodeEvictionPercent: undefined })
  t.match(memory('5%'), { nodeEvictionBytes: 0, nodeEvictionPercent: 5 })
  t.match(memory('7.5%'), { nodeEvictionPercent: 7.5 })
  for (const wrong of ['0%', '100%', '-5%', '%', '0', 'much', '1e1%'])
    t.throws(() => memory(wrong), /memory.nodeEviction must be a quantity above 0 or a percentage/, wrong)
})

t.test('a section that is no mapping, and what an object would inherit, are problems too', async (t) => {
  t.same(problemsOf(`${least}listen: [1]\n`), ['listen must be a mapping, not [1]'])
  t.same(problemsOf(`${least}toString: 1\n__proto__: { keep: 1 }\n`).sort(), [
    '__proto__ is not a known field',
    'toString is not a known field',
  ])
  t.match(problemsOf('image: x\n'), [
    /^stores\.default is required: name where checkpoints go, for example `stores:/,
  ])
  t.same(problemsOf(`${least}stores.x: 1\n`), ['stores.x is not a known field'])
})

t.test('a key without a value is one that is left out', async (t) => {
  const config = parseConfig(`${least}keep:\nlisten:\nguard: { allowedGroups: }\n`, 'x.yaml')
  t.same([config.keep, config.listen.port, config.guard.allowedGroups], [3, 8443, ['system:masters']])
})

const without = (names: string) => `${least}sidecar: { withoutCapabilities: [${names}] }\n`

t.test('a list has no repetitions, and its order does not matter', async (t) => {
  const { withoutCapabilities } = parseConfig(without('NET_ADMIN, SYS_TIME'), 'x.yaml').sidecar
  t.same(withoutCapabilities, ['SYS_TIME', 'NET_ADMIN'])
  t.match(problemsOf(without('SYS_TIME, SYS_TIME')), [
    /withoutCapabilities must be a list without repetitions/,
  ])
})

t.test('one configuration does not change the defaults of the next', async (t) => {
  const [first, second] = [parseConfig(least, 'x.yaml'), parseConfig(`${least}keep: 7\n`, 'x.yaml')]
  t.equal(second.keep, 7)
  t.same(parseConfig(least, 'x.yaml'), first)
})

const root = new URL('../../', import.meta.url)

t.test('the published schema is that of the program, and every key has a meaning', async (t) => {
  t.equal(await readFile(new URL('manifests/config.schema.json', root), 'utf8'), schemaText())
  for (const { key, type, meaning } of configKeys()) {
    t.ok(meaning, key)
    t.ok(type, key)
  }
})

t.test('nothing of the sidecar loads the schema: its memory is paid for in every pod', async (t) => {
  const files = new Set<string>()
  const visit = (url: URL): void => {
    if (files.has(url.pathname)) return
    files.add(url.pathname)
    const text = stripTypeScriptTypes(readFileSync(url, 'utf8'))
    for (const [, target = ''] of text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"\n]+)['"]/g))
      if (target.startsWith('.')) visit(new URL(target, url))
      else if (!target.startsWith('node:')) files.add(target)
  }
  for (const name of readdirSync(new URL('sidecar', root), { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.ts')) visit(new URL(`sidecar/${name}`, root))
  t.ok(files.size > 50, `${files.size} files`)
  t.same(
    [...files].filter((file) => /\/src\/config|typebox|ajv|prom-client|fastify/.test(file)),
    [],
  )
})

t.test('stores that pods mount whole are stores that namespaces share', async (t) => {
  const config = parseConfig(`${least}wholeStores: [default]\n`, 'config.yaml')
  t.same(config.wholeStores, ['default'])
  t.same(parseConfig(least, 'config.yaml').wholeStores, [])
  const claim = '  mine: { persistentVolumeClaim: { claimName: c } }\n'
  t.same(
    problemsOf(`${least}${claim}wholeStores: [mine, other]\n`),
    ['mine', 'other'].map(
      (name) => `wholeStores must name stores of the kinds hostPath and nfs, not "${name}"`,
    ),
  )
})
