/** Removes what killed writers have left in a folder of objects: files under temporary names. Buckets have none. */
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { attempted } from './file-failure.ts'
import { isTemporary } from './name-file.ts'

type Sweep = {
  /** Of the store, for messages. */
  name: string
  path: string
  /** Older than any put can last, and than clocks of nodes and file servers are apart. */
  olderThanMs: number
  signal: AbortSignal
}

/** @returns how many it has removed @throws ReprieveError by the kind of the failure */
export async function sweepPartials({ name, path, olderThanMs, signal }: Sweep): Promise<number> {
  const call = { store: name, action: 'remove what dead writers have left', signal, again: ['ESTALE'] }
  let removed = 0
  const entries = await attempted(call, () => entriesOf(path))
  for (const entry of entries) {
    const at = join(path, entry.name)
    if (entry.isDirectory()) removed += await sweepPartials({ name, path: at, olderThanMs, signal })
    if (entry.isFile() && isTemporary(entry.name) && (await attempted(call, () => removeIfOld(at, olderThanMs)))) removed++ // prettier-ignore
  }
  return removed
}

async function entriesOf(path: string) {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

async function removeIfOld(path: string, olderThanMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await lstat(path)
    if (Date.now() - mtimeMs < olderThanMs) return false
    await rm(path)
    return true
  } catch (error) {
    // Its writer was alive, and has finished.
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
