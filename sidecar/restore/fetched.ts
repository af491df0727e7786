/** Checkpoints on their way from the store: fetched into the staging volume, or into the store's own draft folder under a name there. */
import { mkdir, readFile, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { exists } from '../../src/exists.ts'
import type { EventLog } from '../../src/log.ts'
import { parseManifest } from '../../src/manifest-codec.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'
import type { Surroundings } from '../setup/surroundings.ts'

/** And a checkpoint that comes slower than 20 MB/s is not worth waiting for. */
// @deadline(baseMs) The store is slow | The next older checkpoint; 1 s more for each 20 MB
const fetchDeadline = { baseMs: 30_000, slowBytesPerMs: 20_000 } as const
/** Making a folder: a store that syncs another checkpoint meanwhile may read in time, but not write. */
// @deadline The store makes no folder for the files to restore | The files are copied to the pod's own volume
const draftDeadlineMs = 2_000

/** Where the checkpoint to restore is put, by the restore init container or by the sidecar. */
export function fetchedFolder(container: string, id: string): string {
  return `${volumePaths.staging}/${container}/${id}.fetched`
}

/** Fetches and verifies one checkpoint; the folder's name is in the staging volume. @throws ReprieveError `checkpoint-corrupt` or `store-failed` */
export async function fetchCheckpoint(
  around: Surroundings,
  manifest: CheckpointManifest,
  signal: AbortSignal,
): Promise<string> {
  const folder = fetchedFolder(manifest.slot.container, manifest.id)
  await removeFetched(folder)
  await mkdir(`${volumePaths.staging}/${manifest.slot.container}`, { recursive: true, mode: 0o700 })
  const deadlineMs = Math.ceil(fetchDeadline.baseMs + manifest.totalBytes / fetchDeadline.slowBytesPerMs)
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
  // In the store itself the files need only be read and compared, not copied; the name in staging then leads there.
  const draft = await around.store
    .draftFolder(
      manifest.slot,
      `${manifest.id}.fetched`,
      AbortSignal.any([bounded, AbortSignal.timeout(draftDeadlineMs)]),
    )
    .catch((error: unknown) =>
      around.log.warn(
        { event: 'restore.draft_failed', err: error },
        'the store made no folder for a draft: the files are copied',
      ),
    )
  if (draft !== undefined) await symlink(draft, folder)
  await around.store.fetch(manifest, draft ?? folder, bounded)
  return folder
}

export const fetchedMark = 'fetched.json'

export async function isFetched(folder: string, manifest: CheckpointManifest): Promise<boolean> {
  const bytes = await readFile(`${folder}.${fetchedMark}`).catch(() => undefined)
  // A store's draft folder may have been swept since: then it is fetched again.
  if (bytes === undefined || !(await exists(folder))) return false
  try {
    return parseManifest(bytes).id === manifest.id
  } catch {
    return false
  }
}

/** The mark goes first: killed in between, no half of a checkpoint is taken for whole. */
export async function removeFetched(folder: string): Promise<void> {
  await rm(`${folder}.${fetchedMark}`, { force: true })
  await removeWithDraft(folder)
}

/** Of a name that leads into the store's draft folder, both ends. */
async function removeWithDraft(path: string): Promise<void> {
  const draft = await readlink(path).catch(() => undefined)
  if (draft !== undefined) await rm(draft, { recursive: true, force: true })
  await rm(path, { recursive: true, force: true })
}

const isMark = (name: string) => name.endsWith(`.${fetchedMark}`)

/** Not while it may be restored from. A dump that lies beside it stays. Best effort: told in the log. */
export async function clearFetched(container: string, log: EventLog): Promise<void> {
  const folder = `${volumePaths.staging}/${container}`
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.fetched(\.|$)/.test(name))
  try {
    for (const name of [...names.filter(isMark), ...names.filter((name) => !isMark(name))])
      await removeWithDraft(`${folder}/${name}`)
  } catch (error) {
    log.warn(
      { event: 'restore.fetched_kept', err: error, container },
      'a checkpoint that was fetched was not removed',
    )
  }
}
