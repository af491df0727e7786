/**
 * The suite on a bucket of any S3 server, for one that is not among the tests:
 *
 *     AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… node test/objects/any-server.ts https://minio.example:9000 BUCKET us-east-1
 *
 * It writes and removes below `reprieve-suite/` only. Without AWS_… the credential comes from the surroundings. NODE_EXTRA_CA_CERTS
 * names a file of authorities to trust.
 */
import t from 'tap'
import { createS3Client } from '../../agent/objects/s3-client.ts'
import { createS3Signer } from '../../agent/objects/s3-signer.ts'
import { findHabits } from '../../src/objects/find-habits.ts'
import { createExchange } from '../../src/objects/http-exchange.ts'
import { createSignedObjects } from '../../src/objects/signed-http.ts'
import { all, conformance } from './conformance.ts'

const [endpoint, bucket, region = 'us-east-1'] = process.argv.slice(2)
if (endpoint === undefined || bucket === undefined) throw new Error('usage: any-server.ts ENDPOINT BUCKET [REGION]') // prettier-ignore

const never = { signal: new AbortController().signal }
const client = createS3Client({ endpoint, region, pathStyle: true })
const signer = createS3Signer({ name: bucket, client, bucket, prefix: 'reprieve-suite/' })
const options = { name: bucket, signer, exchange: createExchange() }
const habits = await findHabits({ ...options, prefix: 'probe/', ...never })
t.comment(JSON.stringify(habits))
conformance(t, () => Promise.resolve({ objects: createSignedObjects({ ...options, habits }), conditional: habits.keepsConditions })) // prettier-ignore
t.teardown(async () => {
  const keys = (await all(signer.list('', never))).map(({ key }) => key)
  await signer.remove(keys, never)
  client.destroy()
})
