import { X509Certificate, createPrivateKey } from 'node:crypto'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'

const now = new Date()
const authority = makeAuthority('test', { from: now, days: 10 })

t.test('an authority is a CA and signs itself', async (t) => {
  const certificate = new X509Certificate(authority.cert)
  t.ok(certificate.ca)
  t.ok(certificate.verify(certificate.publicKey))
  t.ok(certificate.checkPrivateKey(createPrivateKey(authority.key)))
  t.equal(certificate.subject, 'CN=test')
  t.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 2048)
})

t.test('a leaf is of its authority, for its names, and for nothing else', async (t) => {
  const leaf = makeLeaf(authority, ['webhook.ns.svc', '127.0.0.1', '::1'], { from: now, days: 5 })
  const certificate = new X509Certificate(leaf.cert)
  const issuer = new X509Certificate(authority.cert)
  t.ok(certificate.checkIssued(issuer))
  t.ok(certificate.verify(issuer.publicKey))
  t.ok(certificate.checkPrivateKey(createPrivateKey(leaf.key)))
  t.notOk(certificate.ca)
  t.equal(certificate.checkHost('webhook.ns.svc'), 'webhook.ns.svc')
  t.equal(certificate.checkHost('other.ns.svc'), undefined)
  t.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1')
  t.equal(certificate.checkIP('::1'), '::1')
  t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'server authentication')
  const lifeDays = (certificate.validToDate.getTime() - now.getTime()) / 86_400_000
  t.ok(lifeDays > 4.9 && lifeDays <= 5)
})

t.test('a name longer than a common name may be still works', async (t) => {
  const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.svc`
  const leaf = makeLeaf(authority, [name], { from: now, days: 5 })
  t.equal(new X509Certificate(leaf.cert).checkHost(name), name)
})

t.test(
  'a TLS client that trusts the authority takes the leaf, and one that trusts another does not',
  async (t) => {
    const leaf = makeLeaf(authority, ['localhost'], { from: now, days: 5 })
    const server = createServer({ cert: leaf.cert, key: leaf.key }, (_incoming, reply) => reply.end('ok'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => void server.close())
    const { port } = server.address() as AddressInfo
    const ask = (ca: string, servername: string) =>
      new Promise<string>((resolve) => {
        request({ host: '127.0.0.1', port, ca, servername, agent: false }, (answer) =>
          resolve(String(answer.resume().statusCode)),
        )
          .on('error', (error) => resolve(error.message))
          .end()
      })
    t.equal(await ask(authority.cert, 'localhost'), '200')
    t.match(await ask(authority.cert, 'elsewhere'), /altnames/)
    // The same name and another key, as after a renewal.
    t.match(
      await ask(makeAuthority('test', { from: now, days: 10 }).cert, 'localhost'),
      /self-signed|unable to verify|signature/,
    )
  },
)
