/** Signs URLs for single objects below one prefix of a bucket, lists and removes there. No method leads out of the prefix. */
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3' // prettier-ignore
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { checkKey, checkPrefix, isKey } from '../../src/objects/keys.ts'
import type { Signer } from '../../src/objects/signer.ts'
import { limitedParallel } from '../../src/store/limited-parallel.ts'
import { s3Failure } from './s3-failure.ts'

export type S3SignerOptions = {
  /** Of the store, for messages. */
  name: string
  client: S3Client
  bucket: string
  /** `reprieve/`, or nothing for the whole bucket. */
  prefix: string
  /** How long a URL is valid. One that is signed by a credential of the surroundings ends with that, if this is earlier. */
  validForS?: number
}

/** Enough for an upload at the pod's end, and for one fetched ahead of it. */
const defaultValidForS = 15 * 60
/** Removals at once. Each has a request of its own: not every server has the one for many. */
const width = 8

export function createS3Signer({
  name,
  client,
  bucket,
  prefix,
  validForS = defaultValidForS,
}: S3SignerOptions): Signer {
  const at = (key: string) => ({ Bucket: bucket, Key: `${prefix}${key}` })
  return {
    async sign(wanted, { signal, anew }) {
      checkKey(wanted.key)
      const failure = { name, action: `sign a URL for ${wanted.method} ${wanted.key}`, signal }
      try {
        // A credential that is older than its Secret, say.
        if (anew) await client.config.credentials({ forceRefresh: true })
        const options = { expiresIn: validForS }
        if (wanted.method === 'GET') return { url: await getSignedUrl(client, new GetObjectCommand(at(wanted.key)), options), headers: {} } // prettier-ignore
        const condition = wanted.ifAbsent ? { IfNoneMatch: '*' } : {}
        const url = await getSignedUrl(
          client,
          new PutObjectCommand({ ...at(wanted.key), ...condition }),
          options,
        )
        // The header is signed, too: the holder of the URL cannot leave it out.
        const headers: Record<string, string> = wanted.ifAbsent ? { 'if-none-match': '*' } : {}
        return { url, headers }
      } catch (error) {
        throw s3Failure(failure, error)
      }
    },

    async *list(below, { signal }) {
      checkPrefix(below)
      const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: `${prefix}${below}` }, { abortSignal: signal }) // prettier-ignore
      try {
        for await (const { Contents: contents = [] } of pages)
          for (const { Key: name = '', Size: bytes = 0, LastModified: modified } of contents) {
            const key = name.slice(prefix.length)
            // What others have put there under another kind of name is not ours.
            if (isKey(key)) yield { key, bytes, modifiedMs: modified?.getTime() ?? 0 }
          }
      } catch (error) {
        throw s3Failure({ name, action: `list the objects ${below}`, signal }, error)
      }
    },

    async remove(keys, { signal }) {
      keys.forEach(checkKey)
      const removeOne = async (key: string, abortSignal: AbortSignal) => {
        try {
          await client.send(new DeleteObjectCommand(at(key)), { abortSignal })
        } catch (error) {
          throw s3Failure({ name, action: `remove the object ${key}`, signal }, error)
        }
      }
      await limitedParallel(keys, width, signal, removeOne)
    },
  }
}
