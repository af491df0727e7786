/** The objects below a folder, in the order of their keys' bytes, as S3 lists them. */
import type { Dirent, Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { attempted } from './file-failure.ts'
import { isKey } from './keys.ts'

type Listed = { key: string; bytes: number; modifiedMs: number }
type Listing = { store: string; root: string; prefix: string; signal: AbortSignal }

/** What goes while it is listed is left out. */
export async function* listFolder(listing: Listing, folder = ''): AsyncGenerator<Listed> {
  for (const entry of await entriesOf(listing, folder)) {
    const key = `${folder}${entry.name}`
    if (!isKey(key)) continue
    if (entry.isDirectory()) {
      // Only where a key below could begin with the prefix.
      if (`${key}/`.startsWith(listing.prefix) || listing.prefix.startsWith(`${key}/`))
        yield* listFolder(listing, `${key}/`)
    } else if (key.startsWith(listing.prefix)) {
      const stat = await statOf(listing, key)
      if (stat?.isFile() === true) yield { key, bytes: stat.size, modifiedMs: Math.floor(stat.mtimeMs) }
    }
  }
}

function entriesOf({ store, root, prefix, signal }: Listing, folder: string): Promise<Dirent[]> {
  const call = { store, action: `list the objects ${prefix}`, signal, again: ['ESTALE'] }
  return attempted(call, async () => {
    const entries = await ifThere(readdir(join(root, folder), { withFileTypes: true }))
    return (entries ?? []).sort((one, other) => (orderOf(one) < orderOf(other) ? -1 : 1))
  })
}

function statOf({ store, root, signal }: Listing, key: string): Promise<Stats | undefined> {
  const call = { store, action: `look at the object ${key}`, signal, again: ['ESTALE'] }
  return attempted(call, () => ifThere(lstat(join(root, key))))
}

/** `a-b` comes before `a/b`, and `a/b` before `a0`. */
function orderOf(entry: Dirent): string {
  return entry.isDirectory() ? `${entry.name}/` : entry.name
}

async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}
