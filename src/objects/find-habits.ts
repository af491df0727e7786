/**
 * Finds out what a server does, rather than to believe it. Some ignore `If-None-Match` and say 200: two writers would lose work by that.
 * Ceph's SQLite backend (18.2.7) answers a range with the bytes from the beginning. Once at a start, by six requests.
 */
import { randomBytes } from 'node:crypto'
import { ReprieveError } from '../errors.ts'
import { defaultBackOff } from './back-off.ts'
import { createSignedObjects, type Habits, type SignedObjectsOptions } from './signed-http.ts'

type Options = Omit<SignedObjectsOptions, 'habits'> & {
  /** Where it may write: `probe/`. */
  prefix: string
  signal: AbortSignal
}

/** @throws ReprieveError where the store cannot be written, read and removed from at all */
export async function findHabits(options: Options): Promise<Habits> {
  const { name, signer, exchange, prefix, signal, backOff = defaultBackOff } = options
  const key = `${prefix}${randomBytes(8).toString('hex')}`
  const put = { signal, ifAbsent: true }
  const trusting = { keepsConditions: true, keepsRanges: true, etagIsMd5: false }
  const objects = createSignedObjects({ name, signer, exchange, backOff, habits: trusting })
  // Another ETag is no accident, and is not to cost the pauses of one.
  const quick = { ...backOff, firstMs: 20, longestMs: 50 }
  const comparing = createSignedObjects({ name, signer, exchange, backOff: quick, habits: { ...trusting, etagIsMd5: true } }) // prettier-ignore
  try {
    await objects.put(key, [Buffer.from('the first')], put)
    const etagIsMd5 = await succeeds('object-damaged', comparing.get(key, { signal }))
    const part = await objects.get(key, { signal, range: { start: 4, length: 4 } })
    const replaced = await succeeds('object-exists', objects.put(key, [Buffer.from('second')], put))
    // A server that says 412 and replaces all the same.
    const kept = (await objects.get(key, { signal })).toString() === 'the first'
    await signer.remove([key], { signal })
    return { keepsConditions: !replaced && kept, keepsRanges: part.toString() === 'firs', etagIsMd5 }
  } catch (error) {
    // It is the first failure that tells what is wrong.
    await signer.remove([key], { signal }).catch(() => undefined)
    throw error
  }
}

/** Whether it was done; false where it failed with that code. */
async function succeeds(code: string, work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof ReprieveError && error.code === code) return false
    throw error
  }
}
