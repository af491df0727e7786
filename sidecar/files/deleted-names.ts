/**
 * Which names of the baseline are gone. A deletion changes its folder, so only names in folders that have changed are looked at. The
 * baseline is read before the application stands still: it may hold a million names, of which few lie in such folders.
 */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { errnoOf } from '../../src/errors.ts'
import { limitedParallel } from '../../src/store/limited-parallel.ts'
import type { Changed } from './changed-files.ts'

export type BaselineNames = {
  /** The file of the baseline. */
  file: string
  /** Every folder that held something. */
  folders: ReadonlySet<string>
  /** What the folders held that had changed when the file was read. */
  held: ReadonlyMap<string, readonly string[]>
}

/** @param changed folders of which the names are kept */
export async function readBaselineNames(
  file: string,
  changed: Iterable<string>,
  signal: AbortSignal,
): Promise<BaselineNames> {
  const folders = new Set<string>()
  const held = new Map<string, string[]>([...changed].map((folder) => [folder, []]))
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'latin1', highWaterMark: 1 << 20, signal })) {
    const names = (rest + String(chunk)).split('\0')
    rest = names.pop() ?? ''
    for (const path of names) {
      if (path === '/') continue
      const folder = folderOf(path)
      if (!folders.has(folder)) folders.add(copyOf(folder))
      held.get(folder)?.push(path)
    }
  }
  return { file, folders, held }
}

const readsAtOnce = 8

/**
 * Where a whole folder went, its name alone is kept; so is that of a folder that has become something else, since tar puts a file only in
 * place of an empty one.
 * @param pid any process of the container
 */
export async function findDeleted(
  pid: number,
  names: BaselineNames,
  { directories, others }: Changed,
  signal: AbortSignal,
): Promise<string[]> {
  const { folders } = names
  const deleted = new Set([...others].filter((path) => folders.has(path)))
  const held = await heldBy(names, directories, signal)
  const missing = [...held].flatMap(([folder, paths]) => {
    const unseen = paths.filter((path) => !others.has(path) && !directories.has(path))
    return unseen.length === 0 ? [] : [{ folder, unseen }]
  })
  await limitedParallel(missing, readsAtOnce, signal, async ({ folder, unseen }) => {
    const present = await entriesOf(pid, folder)
    for (const path of unseen)
      if (present?.has(path.slice(path.lastIndexOf('/') + 1)) === false) deleted.add(path)
  })
  return [...deleted]
}

/** A folder that changed for the first time since the baseline was read is looked up in the file. */
async function heldBy(
  { file, folders, held }: BaselineNames,
  directories: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Map<string, readonly string[]>> {
  const changed = [...directories].filter((folder) => folders.has(folder))
  const later = changed.filter((folder) => !held.has(folder))
  const read = later.length === 0 ? undefined : await readBaselineNames(file, later, signal)
  return new Map(changed.map((folder) => [folder, held.get(folder) ?? read?.held.get(folder) ?? []]))
}

/** Undefined where it cannot be read: then nothing counts as deleted. */
async function entriesOf(pid: number, folder: string): Promise<ReadonlySet<string> | undefined> {
  const path = Buffer.from(`/proc/${pid}/root${folder}`, 'latin1')
  return readdir(path, 'latin1').then(
    (entries) => new Set(entries),
    (error: unknown) => (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? new Set() : undefined),
  )
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

/** A part of a string keeps the whole alive: here a mebibyte of the file. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
