/**
 * Root filesystems are made once and kept in the cache, under a name that carries a hash of their recipe: a changed
 * recipe makes a new one. They are built in a folder of their own and renamed when whole, so that an interrupted
 * build is never taken for one.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDir } from '../harness/native.ts'

/** @param recipe everything that decides what `build` makes, as text */
export async function cachedRootfs(
  name: string,
  recipe: string,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 16)
  const finished = join(cacheDir, 'rootfs', `${name}-${hash}`)
  if (existsSync(finished)) return finished
  const unfinished = `${finished}.unfinished-${process.pid}`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true })
  try {
    await build(unfinished)
    renameSync(unfinished, finished)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(finished)) throw error // another process was faster
  }
  return finished
}
