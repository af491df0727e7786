/** What networks and servers do to requests, done between this code and Ceph's server: few tries, and one clear error for each kind. */
import { PutObjectCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createS3Signer } from '../../agent/objects/s3-signer.ts'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { ReprieveError, describeError } from '../../src/errors.ts'
import { findHabits } from '../../src/objects/find-habits.ts'
import { createExchange } from '../../src/objects/http-exchange.ts'
import type { Habits } from '../../src/objects/signed-http.ts'
import type { Signer } from '../../src/objects/signer.ts'
import { freePort } from '../free-port.ts'
import { all } from './conformance.ts'
import { startFaultProxy, type Fault } from './fault-proxy.ts'
import { impatience, openBucket, patience, quickly, signedObjects } from './s3-stand.ts'
import { startRadosgw } from './servers/radosgw.ts'

const never = { signal: new AbortController().signal }
const server = await startRadosgw(t)
// Ceph's ETags are MD5. What its SQLite backend makes of ranges is not what these tests are about.
const habits: Habits = { keepsConditions: false, keepsRanges: true, etagIsMd5: true }
const bytes = Buffer.from('the bytes of an object, some of which are lost on the way')

async function stage(t: Test, changes: Partial<Habits> = {}) {
  const proxy = await startFaultProxy(t, server)
  const bucket = await openBucket(t, server, proxy.endpoint)
  const asked: { method: string; anew: boolean }[] = []
  const signer: Signer = {
    ...bucket.signer,
    sign: (wanted, options) => {
      asked.push({ method: wanted.method, anew: options.anew })
      return bucket.signer.sign(wanted, options)
    },
  }
  const objects = signedObjects(signer, { ...habits, ...changes }) // prettier-ignore
  await objects.put('a', [bytes], never)
  const suffer = (...faults: Fault[]) => {
    proxy.requests.length = 0
    asked.length = 0
    proxy.faults.splice(0, proxy.faults.length, ...faults)
  }
  return { ...bucket, proxy, objects, asked, suffer, requests: () => proxy.requests.map(({ line }) => line.split(' ')[0]) } // prettier-ignore
}

/** As often as it is tried. */
const always = (fault: Fault) => Array.from({ length: quickly.tries }, () => fault)

/** The error, and that it quotes no signature. */
async function errorOf(t: Test, work: Promise<unknown>): Promise<ReprieveError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  )
  t.notMatch(describeError(error), /X-Amz|Signature|some\/where/, 'no signed URL is told')
  if (!(error instanceof ReprieveError)) throw error
  return error
}

const xml = (code: string) => `<Error><Code>${code}</Code></Error>`
const slowDown =
  '<?xml version="1.0"?><Error><Code>SlowDown</Code><Resource>/x?X-Amz-Signature=1</Resource></Error>'

const passing: Record<string, Fault> = {
  'a reset': 'reset',
  'a reset in the middle of the answer': 'reset-in-the-middle',
  'a Content-Length that says more': 'length-too-long',
  'an answer that is no HTTP': 'no-http',
  'HTTP 500': { answer: 500 },
  'HTTP 502 of a proxy': { answer: 502, body: '<html>Bad Gateway</html>' },
  'HTTP 503': { answer: 503, body: slowDown },
  'HTTP 429': { answer: 429, headers: { 'retry-after': '0' } },
  'HTTP 408': { answer: 408 },
  'HTTP 400 RequestTimeout': { answer: 400, body: '<Error><Code>RequestTimeout</Code></Error>' },
}

t.test('what may pass is tried again, and is told in one error where it lasts', async (t) => {
  const { objects, suffer, requests } = await stage(t)
  for (const [name, fault] of Object.entries(passing)) {
    suffer(fault, fault)
    t.ok(bytes.equals(await objects.get('a', never)), `${name} twice, then well`)
    t.equal(requests().length, 3)
    suffer(fault)
    await objects.put('b', [bytes], never)
    suffer(...always(fault))
    const error = await errorOf(t, objects.get('a', never))
    t.match(error, { code: 'store-unavailable', message: /^store "bucket" failed to get the object a: 4 tries in \d+\.\d s, the last: ./ }, error.message) // prettier-ignore
    // One may meet the connection of the put above, which the proxy resets only after its empty answer.
    t.ok(requests().length <= quickly.tries, 'no more tries than that')
  }
  suffer(...always({ answer: 503, body: slowDown }))
  t.match(await errorOf(t, objects.put('a', [Buffer.from('other')], never)), { message: /failed to put the object a: .*HTTP 503 SlowDown$/ }) // prettier-ignore
  suffer()
  t.ok(bytes.equals(await objects.get('a', never)), 'and the object that was there is whole')
})

t.test('Retry-After is waited for, and an aborted signal ends the wait', async (t) => {
  const { objects, suffer, proxy } = await stage(t)
  suffer({ answer: 503, headers: { 'retry-after': '1' } })
  await objects.get('a', never)
  const [first, second] = proxy.requests.map(({ atMs }) => atMs)
  t.ok((second ?? 0) - (first ?? 0) >= 990, `${(second ?? 0) - (first ?? 0)} ms`)
  suffer(...always({ answer: 503, headers: { 'retry-after': '3600' }, body: slowDown }))
  const error = await errorOf(t, objects.get('a', { signal: AbortSignal.timeout(1_500) }))
  t.match(error, { code: 'deadline-passed', message: /was given up before it could get the object a; the last failure: HTTP 503 SlowDown/ }) // prettier-ignore
})

t.test('a peer that says nothing, or crawls, is given up', async (t) => {
  const { signer, suffer, requests } = await stage(t)
  // So many that the server may be slow as well, on a machine that is busy.
  const lenient = signedObjects(signer, habits, { patience: impatience, tries: 8 })
  const objects = signedObjects(signer, habits, { patience: impatience, tries: 2 })
  for (const [fault, message] of [
    ['silent', /nothing moved for 400 ms/],
    ['crawl', /it was not done after 8\d\d ms/],
  ] as const) {
    // prettier-ignore
    suffer(fault)
    t.ok(bytes.equals(await lenient.get('a', never)), `${fault}, then well`)
    suffer(fault, fault)
    t.match(await errorOf(t, objects.get('a', never)), { code: 'store-unavailable', message })
    t.equal(requests().length, 2)
  }
})

t.test('a URL that is refused is asked for anew, once', async (t) => {
  const { objects, suffer, asked } = await stage(t)
  const refusals: Fault[] = [
    { answer: 403, body: '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>' },
    { answer: 400, body: '<Error><Code>ExpiredToken</Code></Error>' },
    { answer: 401 },
  ]
  for (const refusal of refusals) {
    suffer(refusal)
    t.ok(bytes.equals(await objects.get('a', never)))
    t.same(asked, [{ method: 'GET', anew: false }, { method: 'GET', anew: true }]) // prettier-ignore
    suffer(refusal, refusal)
    t.match(await errorOf(t, objects.put('a', [bytes], never)), { code: 'store-denied', message: /failed to put the object a: with a new URL, too: HTTP 40\d/ }) // prettier-ignore
    t.same(asked.length, 2)
  }
  suffer({ answer: 403, headers: { date: new Date(Date.now() + 3_600_000).toUTCString() } }, { answer: 403, headers: { date: new Date(Date.now() + 3_600_000).toUTCString() } }) // prettier-ignore
  t.match(await errorOf(t, objects.get('a', never)), { message: /the store's clock is 3\d\d\d s ahead of this one's/ }) // prettier-ignore
})

t.test('a URL that has really expired is refused by the server, and a new one is not', async (t) => {
  const { client, bucket } = await stage(t)
  const short = createS3Signer({ name: 'bucket', client, bucket, prefix: 'some/where/', validForS: 1 })
  const old = await short.sign({ method: 'GET', key: 'a' }, { ...never, anew: false })
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  const long = createS3Signer({ name: 'bucket', client, bucket, prefix: 'some/where/' })
  let signed = 0
  const signer: Signer = { ...long, sign: (wanted, options) => (signed++, options.anew ? long.sign(wanted, options) : Promise.resolve(old)) } // prettier-ignore
  t.ok(bytes.equals(await signedObjects(signer, habits).get('a', never)))
  t.equal(signed, 2)
})

t.test('a refusal that comes before a large object is sent is heard', async (t) => {
  const { objects, suffer } = await stage(t)
  const large = [Buffer.alloc(24 << 20, 1), Buffer.alloc(8 << 20, 2)]
  // A connection that is closed while it is written to may lose the answer: then another try hears it.
  suffer(...always({ early: 403, body: xml('QuotaExceeded') }))
  t.match(await errorOf(t, objects.put('large', large, never)), { code: 'store-full', message: /HTTP 403 QuotaExceeded/ }) // prettier-ignore
  suffer({ early: 503, body: slowDown })
  await objects.put('large', large, never)
  t.ok(Buffer.concat(large).equals(await objects.get('large', never)))
})

t.test('a redirect is refused, with where it would have led', async (t) => {
  const { objects, suffer, requests } = await stage(t)
  suffer({ answer: 307, headers: { location: 'https://elsewhere.example/x?X-Amz-Signature=1' } })
  t.match(await errorOf(t, objects.get('a', never)), { code: 'store-failed', message: /HTTP 307: it leads to elsewhere\.example, and redirects are not followed/ }) // prettier-ignore
  suffer({ answer: 301, headers: { 'x-amz-bucket-region': 'eu-west-1' }, body: '<Error><Code>PermanentRedirect</Code></Error>' }) // prettier-ignore
  t.match(await errorOf(t, objects.put('a', [bytes], never)), { code: 'store-failed', message: /HTTP 301 PermanentRedirect: the bucket is in region eu-west-1/ }) // prettier-ignore
  t.equal(requests().length, 1)
})

t.test('what arrives damaged is never taken', async (t) => {
  const { objects, suffer, requests } = await stage(t)
  for (const fault of ['download-damaged', 'length-too-short'] as const) {
    suffer(fault)
    t.ok(bytes.equals(await objects.get('a', never)), `${fault}, then well`)
    suffer(...always(fault))
    t.match(await errorOf(t, objects.get('a', never)), { code: 'object-damaged', message: /checksum/ })
  }
  suffer('upload-damaged')
  await objects.put('b', [bytes], never)
  t.same(requests(), ['PUT', 'PUT'], 'the server has compared Content-MD5')
  suffer(...always('upload-damaged'))
  t.match(await errorOf(t, objects.put('a', [Buffer.from('other')], never)), { code: 'object-damaged', message: /BadDigest/ }) // prettier-ignore
  suffer()
  t.ok(bytes.equals(await objects.get('a', never)), 'and the object that was there is whole')
})

t.test('another part than was wanted is never taken', async (t) => {
  const { objects, suffer } = await stage(t)
  const range = { start: 4, length: 5 }
  const strange: [string, Fault][] = [
    ['the whole', { instead: { status: 200 } }],
    ['another part', { instead: { headers: { 'content-range': 'bytes 3-7/57' } } }],
    ['nothing of where it is from', { instead: { headers: { 'content-range': 'x' } } }],
  ]
  for (const [name, fault] of strange) {
    suffer(...always(fault))
    t.match(await errorOf(t, objects.get('a', { ...never, range })), { code: 'object-damaged' }, name)
  }
  suffer({ instead: { headers: { 'content-range': 'bytes 4-6/7' } } })
  t.match(await errorOf(t, objects.get('a', { ...never, range })), { code: 'object-damaged', message: /it ends at byte 6/ }) // prettier-ignore
})

t.test('a store that is full or knows no such bucket is not asked again', async (t) => {
  const { objects, suffer, requests } = await stage(t)
  const outright: [Fault, string, RegExp][] = [
    [{ answer: 507 }, 'store-full', /HTTP 507/],
    [{ answer: 403, body: xml('QuotaExceeded') }, 'store-full', /QuotaExceeded/],
    [{ answer: 404, body: xml('NoSuchBucket') }, 'store-failed', /there is no such bucket/],
    [{ answer: 400, body: xml('InvalidRequest') }, 'store-failed', /HTTP 400 InvalidRequest/],
    [{ answer: 501 }, 'store-failed', /HTTP 501/],
  ]
  for (const [fault, code, message] of outright) {
    suffer(fault)
    t.match(await errorOf(t, objects.put('b', [bytes], never)), { code, message })
    t.equal(requests().length, 1)
  }
})

t.test(
  'of a put with a condition whose answer was lost, the own object is told from that of another',
  async (t) => {
    const { objects, suffer, requests, direct, bucket } = await stage(t, { keepsConditions: true })
    const refused: Fault = { answer: 412, body: '<Error><Code>PreconditionFailed</Code></Error>' }
    const once = { ...never, ifAbsent: true }
    suffer('answer-lost', refused)
    await objects.put('mine', [bytes], once)
    t.same(requests(), ['PUT', 'PUT', 'GET'], 'it has compared what is there')
    suffer(refused)
    t.match(await errorOf(t, objects.put('mine', [bytes], once)), { code: 'object-exists' })
    t.same(requests(), ['PUT'], 'a first put that is refused has not been done by this one')
    await direct.send(new PutObjectCommand({ Bucket: bucket, Key: 'some/where/theirs', Body: 'of another' }))
    suffer('reset', refused)
    t.match(await errorOf(t, objects.put('theirs', [bytes], once)), { code: 'object-exists' })
    const conflict: Fault = { answer: 409, body: '<Error><Code>ConditionalRequestConflict</Code></Error>' }
    suffer(conflict)
    await objects.put('new', [bytes], once)
    suffer(...always(conflict))
    t.match(
      await errorOf(t, objects.put('new', [bytes], once)),
      { code: 'object-exists' },
      'another is at it',
    )
  },
)

t.test('habits are seen, not believed', async (t) => {
  const { signer, suffer, proxy } = await stage(t)
  const exchange = createExchange({ patience })
  const found = () => findHabits({ name: 'bucket', signer, exchange, prefix: 'probe/', backOff: quickly, ...never }) // prettier-ignore
  const otherEtag: Fault = { instead: { headers: { etag: '"d41d8cd98f00b204e9800998ecf8427e"' } } }
  suffer('passes', ...always(otherEtag), 'passes', { instead: { status: 412 } })
  t.same(await found(), { keepsConditions: false, keepsRanges: false, etagIsMd5: false }, 'it says 412, and has replaced') // prettier-ignore
  suffer({ answer: 403 }, { answer: 403 }, { answer: 500 }, { answer: 500 }, { answer: 500 })
  t.match(await errorOf(t, found()), { code: 'store-denied', message: /failed to put the object probe\/\w+: with a new URL, too/ }) // prettier-ignore
  proxy.faults.length = 0
  t.same((await all(signer.list('probe/', never))).length, 0)
})

t.test('a certificate of an own authority is trusted where it is given, and told of where not', async (t) => {
  const validity = { from: new Date(), days: 1 }
  const authority = makeAuthority('tests', validity)
  const proxy = await startFaultProxy(t, server, makeLeaf(authority, ['127.0.0.1'], validity))
  const { signer } = await openBucket(t, server, proxy.endpoint, authority.cert)
  const trusting = signedObjects(signer, habits, { ca: authority.cert })
  await trusting.put('a', [bytes], never)
  t.ok(bytes.equals(await trusting.get('a', never)))
  t.equal((await all(signer.list('', never))).length, 1, 'by the agent as well')
  proxy.requests.length = 0
  t.match(await errorOf(t, signedObjects(signer, habits).get('a', never)), { code: 'store-failed', message: /its TLS is not trusted/ }) // prettier-ignore
  t.equal(proxy.requests.length, 0)
  const plain = await openBucket(t, server, server.endpoint.replace('http:', 'https:'))
  t.match(await errorOf(t, signedObjects(plain.signer, habits).get('a', never)), { code: 'store-failed', message: /its TLS is not trusted, or is none/ }) // prettier-ignore
})

t.test('an address at which nobody is, is told after few tries', async (t) => {
  const { signer } = await openBucket(t, server, `http://127.0.0.1:${await freePort()}`)
  t.match(await errorOf(t, signedObjects(signer, habits).get('a', never)), { code: 'store-unavailable', message: /nobody listens there \(ECONNREFUSED\)/ }) // prettier-ignore
  t.match(await errorOf(t, signer.remove(['a'], never)), {
    code: 'store-unavailable',
    message: /ECONNREFUSED/,
  })
})
