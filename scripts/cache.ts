/**
 * What takes long to make (root filesystems, compiled programs) is made once and kept outside the repository, under a name
 * that carries a hash of its recipe: a changed recipe makes a new one. It is built in a folder of its own and renamed
 * when whole, so that an interrupted build is never taken for one; a lock lets only one process build it.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs' // prettier-ignore
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export const cacheDir = process.env.REPRIEVE_CACHE ?? '/var/cache/reprieve'

const lockDeadlineMs = 20 * 60_000
const keepUnusedMs = 7 * 24 * 3_600_000

export function hashOf(...parts: (string | Buffer)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 16)
}

/** Every regular file below the folders, with its path: what a layer of sources is made of. */
export function hashOfFiles(root: string, folders: string[], wanted: (path: string) => boolean): string {
  const paths = folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
        join(folder, name),
      ),
    )
    .filter((path) => wanted(path) && statSync(join(root, path)).isFile())
    .sort()
  return hashOf(...paths.flatMap((path) => [path, readFileSync(join(root, path))]))
}

/**
 * The folder `<kind>/<name>-<hash>` of the cache, built if it is not there.
 * @param recipe everything that decides what `build` makes, as text or as its hash
 */
export async function cached(
  kind: string,
  name: string,
  recipe: string,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const parent = join(cacheDir, kind)
  const finished = join(parent, `${name}-${hashOf(recipe)}`)
  if (existsSync(finished)) return finished
  mkdirSync(parent, { recursive: true })
  const unlock = await lock(`${finished}.lock`)
  const unfinished = `${finished}.unfinished`
  try {
    if (existsSync(finished)) return finished
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(unfinished)
    await build(unfinished)
    renameSync(unfinished, finished)
    forgetOld(parent, name, finished)
    return finished
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
    unlock()
  }
}

async function lock(folder: string): Promise<() => void> {
  const owner = join(folder, 'owner')
  const end = Date.now() + lockDeadlineMs
  for (;;) {
    try {
      mkdirSync(folder)
      writeFileSync(owner, String(process.pid))
      return () => rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (isDead(folder, owner)) {
      // Whoever removes the owner's file first may remove the folder: two waiters never both take it for dead.
      rmSync(owner, { force: true })
      try {
        rmdirSync(folder)
      } catch (error) {
        if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
      }
    }
    if (Date.now() > end)
      throw new Error(
        `${folder} is held for more than ${lockDeadlineMs / 60_000} minutes; remove it if its owner is dead`,
      )
    await delay(200)
  }
}

function isDead(folder: string, owner: string): boolean {
  try {
    return !existsSync(`/proc/${readFileSync(owner, 'utf8')}`)
  } catch {
    return existsSync(folder) && Date.now() - statSync(folder).mtimeMs > 10_000 // killed before it could sign
  }
}

/** Earlier builds of the same thing, when nobody has made a newer one for a week. */
function forgetOld(parent: string, name: string, finished: string): void {
  for (const entry of readdirSync(parent)) {
    const path = join(parent, entry)
    if (path === finished || !/^-[0-9a-f]{16}$/.test(entry.slice(name.length)) || !entry.startsWith(name))
      continue
    if (Date.now() - statSync(path).mtimeMs > keepUnusedMs) rmSync(path, { recursive: true, force: true })
  }
}
