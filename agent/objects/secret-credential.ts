/** A credential of files, as the kubelet mounts a Secret. It is read again every minute, so that a rotated one is used without a restart. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ReprieveError } from '../../src/errors.ts'

export type Credential = {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
  /** By when it is read again. */
  expiration: Date
}

/** The SDK asks again five minutes before a credential ends, and keeps it until then. */
const lastsMs = 6 * 60_000

/** The names of the files, which are the keys of the Secret. */
export const secretKeys = {
  accessKeyId: 'access-key-id',
  secretAccessKey: 'secret-access-key',
  sessionToken: 'session-token',
}

export function secretCredential(folder: string): () => Promise<Credential> {
  return async () => {
    const sessionToken = await textOf(folder, secretKeys.sessionToken)
    return {
      accessKeyId: await needed(folder, secretKeys.accessKeyId),
      secretAccessKey: await needed(folder, secretKeys.secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken }),
      expiration: new Date(Date.now() + lastsMs),
    }
  }
}

async function needed(folder: string, name: string): Promise<string> {
  const text = await textOf(folder, name)
  if (text !== undefined) return text
  const message = `the credential has no ${name}: the Secret that is mounted at ${folder} needs the keys ${secretKeys.accessKeyId} and ${secretKeys.secretAccessKey}`
  throw new ReprieveError('store-denied', message, { folder, name })
}

/** Without the line's end that an editor adds; undefined where there is none. */
async function textOf(folder: string, name: string): Promise<string | undefined> {
  try {
    const text = (await readFile(join(folder, name), 'utf8')).trim()
    return text === '' ? undefined : text
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
