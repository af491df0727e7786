import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { readOptions } from '../../certs/options.ts'

const run = promisify(execFile)

t.test('one command makes certificates for local use, and again changes nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-certs-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const command = ['certs/main.ts', '--out', folder, '--dns', 'localhost,127.0.0.1']
  t.match((await run(process.execPath, command)).stdout, '"changed":["authority","leaf","bundle"]')
  const leaf = new X509Certificate(await readFile(join(folder, 'tls.crt')))
  t.ok(leaf.verify(new X509Certificate(await readFile(join(folder, 'ca.crt'))).publicKey))
  t.equal(leaf.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1')
  t.match((await run(process.execPath, command)).stdout, '"changed":[]')
})

t.test('outside a pod it says that it is in none', async (t) => {
  const command = [
    'certs/main.ts',
    '--out',
    '/nonexistent',
    '--dns',
    'a',
    '--secret',
    'n/s',
    '--webhook',
    'w',
  ]
  const { KUBERNETES_SERVICE_HOST: _, ...env } = process.env
  await t.rejects(run(process.execPath, command, { env }), { code: 1, stdout: /this is no pod/ })
})

t.test('all problems of the options are told at once', async (t) => {
  const words = ['--secret', 'nowhere', '--every', '1', '--ca-days', '0']
  try {
    readOptions(words)
    t.fail('they were taken')
  } catch (error) {
    const { message } = error as Error
    for (const option of [
      '--out',
      '--dns',
      '--secret and --webhook',
      'NAMESPACE/NAME',
      '--every',
      '--ca-days',
    ])
      t.match(message, option)
  }
})

t.test('the options of a pod are read', async (t) => {
  const words = ['--out', '/c', '--dns', 'a,b', '--secret', 'n/s', '--webhook', 'w', '--every', '1h']
  t.match(readOptions(words), {
    folder: '/c',
    dnsNames: ['a', 'b'],
    everyMs: 3_600_000,
    cluster: { namespace: 'n', secret: 's', webhookConfiguration: 'w' },
  })
})
