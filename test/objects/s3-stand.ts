/** Objects of a bucket as the sidecar will see them: URLs signed by the agent's own code, and HTTP without a credential. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { createS3Client } from '../../agent/objects/s3-client.ts'
import { createS3Signer } from '../../agent/objects/s3-signer.ts'
import { secretKeys } from '../../agent/objects/secret-credential.ts'
import { createExchange, type Patience } from '../../src/objects/http-exchange.ts'
import { createSignedObjects, type Habits } from '../../src/objects/signed-http.ts'
import type { Signer } from '../../src/objects/signer.ts'
import { folderFor } from '../store/samples.ts'
import type { Credential, S3Server } from './servers/s3-server.ts'

type Test = { teardown: (work: () => void) => void }

export function secretFolder(t: Test, credential: Credential): string {
  const folder = join(folderFor(t), 'secret')
  mkdirSync(folder)
  writeFileSync(join(folder, secretKeys.accessKeyId), `${credential.accessKeyId}\n`)
  writeFileSync(join(folder, secretKeys.secretAccessKey), credential.secretAccessKey)
  return folder
}

/** A new bucket, and a signer for a prefix in it. @param endpoint where requests go, perhaps to a proxy */
export async function openBucket(t: Test, server: S3Server, endpoint = server.endpoint, ca?: string) {
  const folder = secretFolder(t, server.credential)
  const place = { region: server.region, pathStyle: true, secretFolder: folder }
  const bucket = `tests-${randomBytes(6).toString('hex')}`
  const direct = createS3Client({ ...place, endpoint: server.endpoint })
  await direct.send(new CreateBucketCommand({ Bucket: bucket }))
  const client = createS3Client({ ...place, endpoint, ...(ca === undefined ? {} : { ca }) })
  t.teardown(() => {
    direct.destroy()
    client.destroy()
  })
  const signer = createS3Signer({ name: 'bucket', client, bucket, prefix: 'some/where/' })
  return { bucket, client, direct, signer, secretFolder: folder }
}

/** Quick, for tests; a server that is busy is still waited for. */
export const quickly = { tries: 4, firstMs: 5, longestMs: 20 }
export const patience: Patience = { silenceMs: 20_000, leastBytesPerSecond: 64 << 10 }
/** For the tests of a peer that is too slow. */
export const impatience: Patience = { silenceMs: 400, leastBytesPerSecond: 1 << 20 }

export function signedObjects(
  signer: Signer,
  habits: Habits,
  options: { patience?: Patience; ca?: string; tries?: number } = {},
) {
  const { tries = quickly.tries, ...exchanging } = options
  const exchange = createExchange({ patience, ...exchanging })
  const backOff = { ...quickly, tries }
  return createSignedObjects({ name: 'bucket', signer, exchange, habits, backOff })
}
