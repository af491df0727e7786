import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { keepInFolder } from '../../certs/keep.ts'
import { readOptions } from '../../certs/options.ts'
import { dayMs, terms } from './cluster-stage.ts'

const run = promisify(execFile)
const later = (days: number) => new Date(Date.now() + days * dayMs)

async function temporary(test: { teardown: (done: () => Promise<void>) => unknown }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-certs-'))
  test.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

t.test('one command makes certificates for local use, and again changes nothing', async (t) => {
  const folder = await temporary(t)
  const command = ['certs/main.ts', '--out', folder, '--dns', 'localhost,127.0.0.1']
  t.match((await run(process.execPath, command)).stdout, '"changed":["made"]')
  const leaf = new X509Certificate(await readFile(join(folder, 'tls.crt')))
  t.ok(leaf.verify(new X509Certificate(await readFile(join(folder, 'ca.crt'))).publicKey))
  t.equal(leaf.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1')
  t.equal((await stat(join(folder, 'tls.key'))).mode & 0o777, 0o600)
  t.equal((await stat(join(folder, 'ca.key'))).mode & 0o777, 0o600)
  t.match((await run(process.execPath, command)).stdout, '"changed":[]')
})

t.test('in a folder, too, an authority is replaced with the old one kept beside it', async (t) => {
  const folder = await temporary(t)
  const authorities = async () =>
    (await readFile(join(folder, 'ca.crt'), 'utf8')).split('BEGIN CERT').length - 1
  await keepInFolder(folder, terms, later(0))
  t.same(await keepInFolder(folder, terms, later(61)), { changed: ['leaf'], state: 'done' })
  t.same((await keepInFolder(folder, terms, later(122))).changed, ['leaf'])
  t.same((await keepInFolder(folder, terms, later(201))).changed, ['authority', 'leaf'])
  t.equal(await authorities(), 2)
  t.same((await keepInFolder(folder, terms, later(213))).changed, ['dropped'])
  t.equal(await authorities(), 1)
  await writeFile(join(folder, 'tls.key'), 'nonsense')
  t.same((await keepInFolder(folder, terms, later(213))).changed, ['leaf'])
  await rm(join(folder, 'ca.crt'))
  t.same((await keepInFolder(folder, terms, later(213))).changed, ['made'])
})

t.test('outside a pod it says that it is in none', async (t) => {
  const command = ['certs/main.ts', '--dns', 'a', '--secret', 'n/s', '--webhook', 'w']
  const { KUBERNETES_SERVICE_HOST: _, ...env } = process.env
  await t.rejects(run(process.execPath, command, { env }), { code: 1, stdout: /this is no pod/ })
})

t.test('all problems of the options are told at once', async (t) => {
  const words = [
    '--secret',
    'nowhere',
    '--every',
    '1',
    '--ca-life',
    '0',
    '--settle',
    'soon',
    '--leaf-life',
    '1h',
  ]
  try {
    readOptions(words)
    t.fail('they were taken')
  } catch (error) {
    const { message } = error as Error
    for (const option of [
      '--dns',
      '--secret and --webhook',
      'NAMESPACE/NAME',
      '--every',
      '--ca-life must be a duration',
      '--settle',
      '--leaf-life must be at most a third',
    ])
      t.match(message, option)
  }
  t.throws(() => readOptions(['--dns', 'a']), /either --out must name a folder, or --secret/)
  t.throws(() => readOptions(['--dns', 'a', '--out', 'x', '--secret', 'n/s']), /either --out/)
})

t.test('the options of a pod are read', async (t) => {
  const words = ['--dns', 'a,b', '--secret', 'n/s', '--webhook', 'w', '--every', '1h', '--leaf-life', '24h']
  t.match(readOptions(words), {
    where: 'cluster',
    terms: { dnsNames: ['a', 'b'], caDays: 730, leafDays: 1 },
    everyMs: 3_600_000,
    settleMs: 60_000,
    names: { namespace: 'n', secret: 's', webhookConfiguration: 'w' },
  })
})
