/**
 * Gives a written file its name, with or without replacing what has it. On NFS a call that succeeded can be answered with a failure: the
 * server did it, its answer was lost, and the client asked again (open(2) and link(2) tell of it). So a failure is compared with what is there.
 */
import { randomBytes } from 'node:crypto'
import { link, lstat, rename, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ReprieveError, errnoOf } from '../errors.ts'

/** The errors of link(2) where there are no hard links at all. */
const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'])

type Naming = {
  temporary: string
  path: string
  replace: boolean
  /** Those of the file system; a test brings others, which fail as NFS does. */
  calls?: { link: typeof link; rename: typeof rename }
}

/** In the same folder. `~` is in no key, so it is taken for no object. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `~${basename(path)}.${randomBytes(6).toString('hex')}`)
}

export function isTemporary(name: string): boolean {
  return /^~[A-Za-z0-9._-]+\.[0-9a-f]{12}$/.test(name)
}

/**
 * @param file the opened file, to be told from another of the same name
 * @returns false where another file has the name and must not be replaced
 * @throws ReprieveError `conditions-ignored` where not to replace is impossible; otherwise the file system's error
 */
export async function nameFile(file: FileHandle, naming: Naming): Promise<boolean> {
  const { temporary, path, replace, calls = { link, rename } } = naming
  try {
    // rename(2) replaces, and Node has no renameat2(2). link(2) never does.
    await (replace ? calls.rename(temporary, path) : calls.link(temporary, path))
    return true
  } catch (error) {
    const errno = errnoOf(error) ?? ''
    if (errno === (replace ? 'ENOENT' : 'EEXIST') && (await isNamed(file, path))) return true
    if (!replace && errno === 'EEXIST') return false
    if (!replace && withoutLinks.has(errno)) throw impossible(path, error)
    throw error
  }
}

async function isNamed(file: FileHandle, path: string): Promise<boolean> {
  const own = await file.stat()
  try {
    const there = await lstat(path)
    return there.ino === own.ino && there.dev === own.dev
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

function impossible(path: string, cause: unknown): ReprieveError {
  const message = `${path} cannot be written without the risk to replace another file: its file system has no hard links`
  return new ReprieveError('conditions-ignored', message, { path }, cause)
}
