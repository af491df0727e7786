import { link, lstat } from 'node:fs/promises'
import { ReprieveError, errnoOf } from '../errors.ts'

/** The errors of link(2) where links are impossible; any other error is a failure of the store. */
const linkRefusals = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EACCES'])

/**
 * Gives a file a second name; false where links are impossible (on another mount, for example).
 * @param source the opened file, which must be the one that gets the name
 */
export async function linked(
  from: string,
  to: string,
  source: { ino: number; dev: number },
): Promise<boolean> {
  try {
    await link(from, to)
  } catch (error) {
    if (linkRefusals.has(errnoOf(error) ?? '')) return false
    throw error
  }
  const made = await lstat(to)
  if (made.ino === source.ino && made.dev === source.dev) return true
  throw new ReprieveError('store-failed', `${from} was replaced while it was being linked`, { path: from })
}
