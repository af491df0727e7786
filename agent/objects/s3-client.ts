/** The client of a bucket, with the credential: for the node agent alone. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { secretCredential } from './secret-credential.ts'

export type S3Place = {
  /** Of any S3-compatible server; without it Amazon's of the region. */
  endpoint?: string
  region: string
  /** `https://HOST/BUCKET/KEY`, as most servers other than Amazon's want it, in the place of `https://BUCKET.HOST/KEY`. */
  pathStyle: boolean
  /** In PEM, in the place of the ones that Node brings. */
  ca?: string
  /**
   * The folder of a mounted Secret; otherwise the surroundings are asked, by the SDK's own order: web identity (IRSA), the container's
   * endpoint (EKS Pod Identity), the instance.
   */
  secretFolder?: string
}

/** Between two bytes, and until there is a connection. */
const silenceMs = 15_000
const maxAttempts = 3

export function createS3Client({ endpoint, region, pathStyle, ca, secretFolder }: S3Place): S3Client {
  const configuration: S3ClientConfig = {
    region,
    forcePathStyle: pathStyle,
    maxAttempts,
    // By default the SDK would sign the checksum of an empty body into every URL for a PUT.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: silenceMs,
      requestTimeout: silenceMs,
      throwOnRequestTimeout: true,
      httpsAgent: { keepAlive: true, maxSockets: 16, ...(ca === undefined ? {} : { ca }) },
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(secretFolder === undefined ? {} : { credentials: secretCredential(secretFolder) }),
  }
  return new S3Client(configuration)
}
