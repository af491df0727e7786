/** Explains an error of the file system to the person who must act on it. */
import { errnoOf, ReprieveError } from '../errors.ts'

const advice: Record<string, string> = {
  ENOSPC: 'the store is full: free space, enlarge it, or keep fewer checkpoints',
  EDQUOT: "the store's quota is used up: enlarge it, or keep fewer checkpoints",
  EROFS: 'the store is mounted read-only',
  EIO: 'the disk under the store reports an error: check it before relying on the store',
  EACCES: 'the store may not be written by this user: check its owner and mode',
  EPERM: 'the store may not be written by this user: check its owner and mode',
  ESTALE: 'the network file system lost the folder: mount it anew',
  ENOTCONN: 'the network file system is not connected',
  ENOENT: 'it is not there (any more)',
  ELOOP: 'a symbolic link stands where a file or folder must be',
}

/** Any error as `store-failed`; a ReprieveError stays as it is. */
export function storeFailure(store: string, action: string, error: unknown): ReprieveError {
  if (error instanceof ReprieveError) return error
  const errno = errnoOf(error)
  const hint = errno === undefined ? undefined : advice[errno]
  const message = `store "${store}" failed to ${action}${hint === undefined ? '' : ` (${hint})`}`
  return new ReprieveError(
    'store-failed',
    message,
    { store, ...(errno === undefined ? {} : { errno }) },
    error,
  )
}
