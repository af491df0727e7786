import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { whyNotTaken } from '../../webhook/handshake.ts'
import { serviceHost as host } from '../certs/cluster-stage.ts'

const validity = { from: new Date(), days: 5 }
const authority = makeAuthority('reprieve', validity)
const pair = makeLeaf(authority, [host], validity)
const days = (from: number, length: number) => ({
  from: new Date(Date.now() + from * 86_400_000),
  days: length,
})
const expected = (caBundle: string) => ({ caBundle, host })
const folder = mkdtempSync(join(tmpdir(), 'reprieve-handshake-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** What forge's own maker here does not make, made by OpenSSL. */
function openssl(...words: string[]): void {
  execFileSync('openssl', words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
}
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

t.test('a leaf of the authority in the bundle is taken, wherever in the bundle that stands', async (t) => {
  const other = makeAuthority('reprieve', validity).cert
  for (const caBundle of [authority.cert, other + authority.cert, authority.cert + other])
    t.equal(await whyNotTaken({ pair }, { caBundle, host }), undefined)
})

t.test('one of another authority, for another name, expired, or not yet valid, is not', async (t) => {
  const caBundle = authority.cert
  const other = makeAuthority('reprieve', validity)
  t.match(await whyNotTaken({ pair }, { caBundle: other.cert, host }), /issuer|signature/)
  t.match(await whyNotTaken({ pair }, { caBundle, host: 'other.svc' }), 'not for other.svc')
  t.match(
    await whyNotTaken({ pair: makeLeaf(authority, [host], days(-3, 1)) }, { caBundle, host }),
    'expired',
  )
  t.match(
    await whyNotTaken({ pair: makeLeaf(authority, [host], days(2, 1)) }, { caBundle, host }),
    'not yet valid',
  )
  t.match(await whyNotTaken({ pair }, { caBundle: '', host }), /issuer/, 'nor by the public authorities')
  t.type(await whyNotTaken({ pair }, { caBundle: 'nonsense', host }), 'string')
  t.type(await whyNotTaken({ pair: { ...pair, key: other.key } }, { caBundle, host }), 'string')
})

t.test('a name that only the subject has does not count, as for an API server', async (t) => {
  const options = ['-newkey', 'rsa:2048', '-nodes', '-days', '5']
  openssl('req', '-x509', ...options, '-subj', `/CN=${host}`, '-keyout', 'cn.key', '-out', 'cn.crt')
  const named = { cert: read('cn.crt'), key: read('cn.key') }
  t.match(await whyNotTaken({ pair: named }, { caBundle: named.cert, host }), `not for ${host}`)
})

t.test(
  'a chain with an authority in between is taken, and so is what stands in the bundle itself',
  async (t) => {
    writeFileSync(join(folder, 'ext'), `basicConstraints=critical,CA:true\n`)
    writeFileSync(join(folder, 'san'), `subjectAltName=DNS:${host}\nextendedKeyUsage=serverAuth\n`)
    const key = ['-newkey', 'rsa:2048', '-nodes']
    openssl(
      'req',
      '-x509',
      ...key,
      '-subj',
      '/CN=root',
      '-days',
      '5',
      '-keyout',
      'root.key',
      '-out',
      'root.crt',
    )
    openssl('req', ...key, '-subj', '/CN=between', '-keyout', 'between.key', '-out', 'between.csr')
    openssl('x509', '-req', '-in', 'between.csr', '-CA', 'root.crt', '-CAkey', 'root.key', '-CAcreateserial', '-days', '5', '-extfile', 'ext', '-out', 'between.crt') // prettier-ignore
    openssl('req', ...key, '-subj', '/CN=leaf', '-keyout', 'leaf.key', '-out', 'leaf.csr')
    openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'between.crt', '-CAkey', 'between.key', '-CAcreateserial', '-days', '5', '-extfile', 'san', '-out', 'leaf.crt') // prettier-ignore
    const chain = { cert: read('leaf.crt') + read('between.crt'), key: read('leaf.key') }
    const alone = { cert: read('leaf.crt'), key: read('leaf.key') }
    t.equal(await whyNotTaken({ pair: chain }, expected(read('root.crt'))), undefined)
    t.type(await whyNotTaken({ pair: alone }, expected(read('root.crt'))), 'string', 'a link is missing')
    t.equal(
      await whyNotTaken({ pair: alone }, expected(read('between.crt'))),
      undefined,
      'any certificate is an anchor',
    )
    t.equal(await whyNotTaken({ pair: alone }, expected(read('leaf.crt'))), undefined, 'even the leaf')
  },
)

t.test('a port where nobody speaks TLS, or nobody listens, is told of', async (t) => {
  const server = createServer((socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const at = { host: '127.0.0.1', port }
  t.type(await whyNotTaken(at, { caBundle: authority.cert, host }), 'string')
  server.close()
  await once(server, 'close')
  t.match(await whyNotTaken(at, { caBundle: authority.cert, host }), 'ECONNREFUSED')
})
