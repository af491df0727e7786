/** Buckets of two servers: Ceph's, and moto's. What one of them does not look at, the other does. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { createS3Client } from '../../agent/objects/s3-client.ts'
import { createS3Signer } from '../../agent/objects/s3-signer.ts'
import { createExchange } from '../../src/objects/http-exchange.ts'
import { findHabits } from '../../src/objects/find-habits.ts'
import { folderFor } from '../store/samples.ts'
import { all, conformance } from './conformance.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { surroundings } from './surroundings.ts'
import { openBucket, patience, quickly, signedObjects } from './s3-stand.ts'
import { startMoto } from './servers/moto.ts'
import { startRadosgw } from './servers/radosgw.ts'

const never = { signal: new AbortController().signal }
const both = await Promise.all([startRadosgw(t), startMoto(t)])

for (const [index, server] of both.entries()) {
  const name = ["Ceph's radosgw with its SQLite backend", "Debian's moto_server"][index] ?? ''
  t.test(name, async (t) => {
    const { signer, direct, bucket } = await openBucket(t, server)
    const exchange = createExchange({ patience })
    const habits = await findHabits({ name: 'bucket', signer, exchange, prefix: 'probe/', backOff: quickly, ...never }) // prettier-ignore

    t.test('is found out to keep conditions and ranges, or not to', async (t) => {
      t.same(habits, {
        keepsConditions: server.keepsConditions,
        keepsRanges: server.keepsRanges,
        etagIsMd5: true,
      })
      t.same(await all(signer.list('', never)), [], 'the probe has cleared up after itself')
    })

    conformance(t, () => Promise.resolve({ objects: signedObjects(signer, habits), conditional: habits.keepsConditions })) // prettier-ignore

    t.test('what lies outside of the prefix is not seen, and what has no name of ours neither', async (t) => {
      for (const Key of ['some/elsewhere', 'some/where', 'some/where/a b', 'some/where/~x', 'some/where/ok'])
        await direct.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }))
      const keys = (await all(signer.list('', never))).map(({ key }) => key).filter((key) => !key.includes('suite/')) // prettier-ignore
      t.same(keys, ['ok'])
    })
  })
}

t.test('a put with a condition whose answer is lost is done once, and told from another', async (t) => {
  const server = both[1]
  const proxy = await startFaultProxy(t, server)
  const { signer } = await openBucket(t, server, proxy.endpoint)
  const objects = signedObjects(signer, { keepsConditions: true, keepsRanges: true, etagIsMd5: true })
  proxy.faults.push('answer-lost')
  await objects.put('a', [Buffer.from('mine')], { ...never, ifAbsent: true })
  t.same(proxy.requests.map(({ line }) => line.split(' ')[0]), ['PUT', 'PUT', 'GET']) // prettier-ignore
  await t.rejects(objects.put('a', [Buffer.from('mine')], { ...never, ifAbsent: true }), { code: 'object-exists' }) // prettier-ignore
})

t.test('the condition is signed: without its header the URL is refused', async (t) => {
  const { signer } = await openBucket(t, both[0])
  const { url, headers } = await signer.sign({ method: 'PUT', key: 'a', ifAbsent: true }, { ...never, anew: false }) // prettier-ignore
  t.same(headers, { 'if-none-match': '*' })
  const status = async (init: RequestInit) => (await fetch(url, { method: 'PUT', body: 'x', ...init })).status
  t.equal(await status({}), 403)
  t.equal(await status({ headers: { 'if-none-match': '"other"' } }), 403)
  t.equal(await status({ headers }), 200)
})

const status = async (to: string, method: string) =>
  (await fetch(to, { method, ...(method === 'PUT' ? { body: 'x' } : {}) })).status

t.test('a URL is for one object and one method', async (t) => {
  const { signer } = await openBucket(t, both[0])
  const { url } = await signer.sign({ method: 'PUT', key: 'a', ifAbsent: false }, { ...never, anew: false })
  t.equal(await status(url, 'PUT'), 200)
  t.equal(await status(url, 'GET'), 403)
  t.equal(await status(url, 'DELETE'), 403)
  t.equal(await status(url.replace('/where/a?', '/where/b?'), 'PUT'), 403)
  await t.rejects(signer.sign({ method: 'GET', key: '../a' }, { ...never, anew: false }), { code: 'key-invalid' }) // prettier-ignore
})

t.test('a web identity is exchanged for a credential, and its URLs work', async (t) => {
  const server = both[1]
  const folder = folderFor(t)
  writeFileSync(join(folder, 'token'), 'a token of a service account')
  surroundings(t, {
    AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token'),
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/reprieve',
    AWS_ENDPOINT_URL_STS: server.endpoint,
  })
  const { bucket } = await openBucket(t, server)
  const client = createS3Client({ endpoint: server.endpoint, region: server.region, pathStyle: true })
  t.teardown(() => client.destroy())
  const signer = createS3Signer({ name: 'bucket', client, bucket, prefix: '' })
  const objects = signedObjects(signer, { keepsConditions: true, keepsRanges: true, etagIsMd5: true })
  await objects.put('a', [Buffer.from('a')], never)
  t.equal((await objects.get('a', never)).toString(), 'a')
  const { url } = await signer.sign({ method: 'GET', key: 'a' }, { ...never, anew: false })
  t.match(new URL(url).searchParams.get('X-Amz-Security-Token'), /^.{20,}$/)
})
