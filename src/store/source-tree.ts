import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ReprieveError } from '../errors.ts'
import { isStoredPath } from '../manifest-shape.ts'

/**
 * Paths of all regular files under a folder, relative, in order; empty folders are not kept.
 * @throws ReprieveError `store-failed` naming everything that is neither file nor folder, or has an unfit name
 */
export async function listSourceFiles(folder: string, signal: AbortSignal): Promise<string[]> {
  const files: string[] = []
  const problems: string[] = []
  const pending = ['']
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    signal.throwIfAborted()
    for (const entry of await readdir(join(folder, at), { withFileTypes: true })) {
      const path = at === '' ? entry.name : `${at}/${entry.name}`
      if (!isStoredPath(path)) problems.push(`${JSON.stringify(path)} has a name that a manifest cannot hold`)
      else if (entry.isDirectory()) pending.push(path)
      else if (entry.isFile()) files.push(path)
      else problems.push(`${JSON.stringify(path)} is neither a file nor a folder`)
    }
  }
  if (problems.length > 0) {
    const message = `the checkpoint in ${folder} cannot be stored: ${problems.slice(0, 20).join('; ')}`
    throw new ReprieveError('store-failed', message, { folder, problems })
  }
  return files.sort()
}

/** The folders of such paths, relative, parents first. */
export function foldersOf(paths: readonly string[]): string[] {
  const folders = new Set<string>()
  for (const path of paths) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
      folders.add(path.slice(0, end))
  }
  return [...folders].sort()
}
