/** Explains an error of the file system under a store of objects: each kind has its code. */
import { ReprieveError, errnoOf, type ErrorCode } from '../errors.ts'

const codes: Record<string, ErrorCode> = {
  ENOSPC: 'store-full',
  EDQUOT: 'store-full',
  EFBIG: 'store-full',
  EACCES: 'store-denied',
  EPERM: 'store-denied',
  EROFS: 'store-denied',
  ESTALE: 'store-stale',
  ENOTCONN: 'store-unavailable',
  ETIMEDOUT: 'store-unavailable',
  EHOSTDOWN: 'store-unavailable',
  ENAMETOOLONG: 'key-invalid',
  ENOTDIR: 'key-invalid',
  EEXIST: 'key-invalid',
  EISDIR: 'key-invalid',
}

const advice: Record<string, string> = {
  ENOSPC: 'it is full',
  EDQUOT: 'its quota is used up',
  EFBIG: 'the file system allows no file of that size',
  EACCES: 'it may not be used by this user: check its owner and mode',
  EPERM: 'it may not be used by this user: check its owner and mode',
  EROFS: 'it is mounted read-only',
  EIO: 'its disk reports an error',
  ESTALE: 'its server does not know the file any more: mount it anew',
  ENOTCONN: 'the network file system is not connected',
  ENOTDIR: 'another object has a part of the key as its own key',
  EEXIST: 'another object has a part of the key as its own key',
  EISDIR: 'the key is a part of the keys of other objects',
}

export type Call = {
  store: string
  /** `put the object a/b` */
  action: string
  signal: AbortSignal
  /** The errors after which the work is begun anew. */
  again: readonly string[]
}

/** A file that is gone from its server, a folder that another writer removed: a new look at the path tells. */
const tries = 8

/** @throws ReprieveError by the kind of the failure; `deadline-passed` where the signal has aborted */
export async function attempted<T>(call: Call, work: () => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left--) {
    if (call.signal.aborted) throw givenUp(call)
    try {
      return await work()
    } catch (error) {
      if (call.signal.aborted && error === call.signal.reason) throw givenUp(call)
      if (left === 0 || !call.again.includes(errnoOf(error) ?? '')) throw fileFailure(call, error)
    }
  }
}

/** A ReprieveError stays as it is. */
export function fileFailure(
  { store, action }: Pick<Call, 'store' | 'action'>,
  error: unknown,
): ReprieveError {
  if (error instanceof ReprieveError) return error
  const errno = errnoOf(error) ?? ''
  const hint = advice[errno]
  const message = `store "${store}" failed to ${action}${hint === undefined ? '' : `: ${hint}`}`
  const data = { store, ...(errno === '' ? {} : { errno }) }
  return new ReprieveError(codes[errno] ?? 'store-failed', message, data, error)
}

function givenUp({ store, action, signal }: Call): ReprieveError {
  const message = `store "${store}" was given up before it could ${action}`
  return new ReprieveError('deadline-passed', message, { store }, signal.reason)
}
