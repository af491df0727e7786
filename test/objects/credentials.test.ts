/** Where the agent's credential comes from: a Secret, which may be rotated, the container's endpoint, the instance. */
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createS3Client } from '../../agent/objects/s3-client.ts'
import { createS3Signer } from '../../agent/objects/s3-signer.ts'
import { secretKeys } from '../../agent/objects/secret-credential.ts'
import { folderFor } from '../store/samples.ts'
import { all } from './conformance.ts'
import { openBucket, signedObjects } from './s3-stand.ts'
import { startRadosgw } from './servers/radosgw.ts'
import { surroundings } from './surroundings.ts'

const never = { signal: new AbortController().signal }
const first = { ...never, anew: false }
const habits = { keepsConditions: false, keepsRanges: false, etagIsMd5: true }

const place = { region: 'us-east-1', pathStyle: true, endpoint: 'http://127.0.0.1:1' }

function signerOf(t: Test, secretFolder?: string) {
  const client = createS3Client({ ...place, ...(secretFolder === undefined ? {} : { secretFolder }) })
  t.teardown(() => client.destroy())
  return createS3Signer({ name: 'bucket', client, bucket: 'b', prefix: 'p/' })
}

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

t.test('a Secret that was rotated is read again when a URL is refused', async (t) => {
  const server = await startRadosgw(t)
  const { signer, secretFolder } = await openBucket(t, server)
  const objects = signedObjects(signer, habits)
  const write = (secret: string) => writeFileSync(join(secretFolder, secretKeys.secretAccessKey), secret)
  write('not this one')
  // Both the list and the URL are of the wrong one, and both say so.
  await t.rejects(objects.put('a', [Buffer.from('a')], never), { code: 'store-denied', message: /with a new URL, too: HTTP 403/ }) // prettier-ignore
  await t.rejects(all(signer.list('', never)), { code: 'store-denied', message: /failed to list the objects : HTTP 403/ }) // prettier-ignore
  await t.rejects(signer.remove(['a'], never), { code: 'store-denied' })
  write(`${server.credential.secretAccessKey}\n`)
  await objects.put('a', [Buffer.from('a')], never)
  t.equal((await objects.get('a', never)).toString(), 'a')
})

t.test('a Secret without a key is told by the name of the key, and never by its value', async (t) => {
  const folder = join(folderFor(t), 'secret')
  mkdirSync(folder)
  const signer = signerOf(t, folder)
  const wanted = { method: 'GET', key: 'a' } as const
  await t.rejects(signer.sign(wanted, first), { code: 'store-denied', message: /has no access-key-id: the Secret that is mounted at / }) // prettier-ignore
  writeFileSync(join(folder, secretKeys.accessKeyId), 'AKID')
  await t.rejects(signer.sign(wanted, first), { code: 'store-denied', message: /^(?!.*AKID).*has no secret-access-key/ }) // prettier-ignore
  writeFileSync(join(folder, secretKeys.secretAccessKey), 'SECRET')
  t.match(
    (await signer.sign(wanted, first)).url,
    /^http:\/\/127\.0\.0\.1:1\/b\/p\/a\?.*X-Amz-Credential=AKID%2F/,
  )
  writeFileSync(join(folder, secretKeys.sessionToken), 'TOKEN')
  t.match((await signer.sign(wanted, { ...never, anew: true })).url, /X-Amz-Security-Token=TOKEN/)
})

t.test('without a Secret the endpoint of the container is asked, with the token of its file', async (t) => {
  const folder = folderFor(t)
  writeFileSync(join(folder, 'token'), 'a token')
  const endpoint = await serve(t, ({ headers }, response) => {
    if (headers.authorization !== 'a token') return void response.writeHead(403).end()
    response.end(JSON.stringify({ AccessKeyId: 'CONTAINER', SecretAccessKey: 'S', Token: 'T', Expiration: inAnHour() })) // prettier-ignore
  })
  surroundings(t, {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(folder, 'token'),
  })
  const { url } = await signerOf(t).sign({ method: 'GET', key: 'a' }, first)
  t.match(url, /X-Amz-Credential=CONTAINER%2F.*X-Amz-Security-Token=T/)
})

t.test('the instance is asked where nothing else is, by its newer protocol', async (t) => {
  const endpoint = await serve(t, ({ method, url, headers }, response) => {
    if (method === 'PUT' && url === '/latest/api/token') return void response.end('session')
    if (headers['x-aws-ec2-metadata-token'] !== 'session') return void response.writeHead(401).end()
    const folder = '/latest/meta-data/iam/security-credentials/'
    if (url === folder) return void response.end('role')
    response.end(JSON.stringify({ Code: 'Success', AccessKeyId: 'INSTANCE', SecretAccessKey: 'S', Token: 'T', Expiration: inAnHour() })) // prettier-ignore
  })
  surroundings(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint })
  t.match((await signerOf(t).sign({ method: 'GET', key: 'a' }, first)).url, /X-Amz-Credential=INSTANCE%2F/)
})

t.test('where there is no credential at all, that is said', async (t) => {
  surroundings(t, { AWS_EC2_METADATA_DISABLED: 'true' })
  await t.rejects(signerOf(t).sign({ method: 'GET', key: 'a' }, first), { code: 'store-denied', message: /failed to sign a URL for GET a: CredentialsProviderError/ }) // prettier-ignore
})
