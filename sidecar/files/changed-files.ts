/**
 * What changed in a container's file tree since its baseline, and what its volumes hold. The walk of the root file system passes over the
 * folders of an overlay that nobody has written to since the container was created: of an image with 400,000 files it looks at few.
 */
import { lstat } from 'node:fs/promises'
import { findNames, instantArgument, walkArguments, type FindOptions } from './find.ts'
import type { Baseline } from './baseline.ts'
import type { EphemeralRoots } from './mounts.ts'

export type Changed = {
  paths: string[]
  sockets: string[]
  /** Files of volumes that are as they were before the application's first instruction: init containers had put them there. */
  unchanged: string[]
  directories: Set<string>
  others: Set<string>
  /** On the disk; a file of several names is several parts of one. */
  bytes: number
}

/** `n`: it has changed since the baseline; `o`: it has not. */
export const printed = (flag: 'n' | 'o') => ['-printf', `${flag}%y%b/%n %p\\0`]

export async function findChanged(
  options: FindOptions,
  roots: EphemeralRoots,
  baseline: Baseline,
): Promise<Changed> {
  const changedOnly = ['-newerct', instantArgument(baseline.instantMs), ...printed('n')]
  const kept = ['(', ...changedOnly, '-o', ...printed('o'), ')']
  // The image's own files are there again. What a volume held when this container began (an init container's or a neighbour's) is
  // not, or not the same; and in a folder that was renamed nothing has a new ctime.
  const found = await findInRoots(options, roots, baseline, { root: changedOnly, volumes: kept })
  const changed: Changed = { paths: [], sockets: [], unchanged: [], directories: new Set(), others: new Set(), bytes: 0 } // prettier-ignore
  for (const entry of found) noteFound(changed, entry)
  return changed
}

/** @param entry as `printed` has find print it */
export function noteFound(changed: Changed, entry: string): void {
  const [flag, type, size] = [entry.charAt(0), entry.charAt(1), entry.slice(2, entry.indexOf(' '))]
  const path = entry.slice(entry.indexOf(' ') + 1)
  if (flag === 'o' && (type === 'f' || type === 'l')) changed.unchanged.push(path)
  if (type === 's') changed.sockets.push(path)
  // A mount point's own folder belongs to the volume, but its entries may have changed.
  else if (path !== '/') changed.paths.push(path)
  if (type === 'd') changed.directories.add(path)
  else changed.others.add(path)
  const [blocks = 0, names = 1] = size.split('/').map(Number)
  if (type === 'f') changed.bytes += (blocks * blockBytes) / Math.max(1, names)
}

/** stat(2), st_blocks. */
const blockBytes = 512

/** The folders that have changed so far, and all those of volumes. */
export async function findChangedFolders(
  options: FindOptions,
  roots: EphemeralRoots,
  baseline: Baseline,
): Promise<string[]> {
  const folders = ['-type', 'd', '-print0']
  const changedOnly = ['-newerct', instantArgument(baseline.instantMs), ...folders]
  return findInRoots(options, roots, baseline, { root: changedOnly, volumes: folders })
}

/** One walk of the root file system, and beside it one of all volumes. */
export async function findInRoots(
  options: FindOptions,
  all: EphemeralRoots,
  baseline: Baseline,
  tests: { root: readonly string[]; volumes: readonly string[] },
): Promise<string[]> {
  const hasRoot = all.roots.includes('/')
  const volumes = all.roots.filter((root) => root !== '/')
  const untouched = all.isOverlay && hasRoot ? await untouchedFolders(options.pid, baseline) : []
  const walk = (roots: readonly string[], given: readonly string[]) =>
    roots.length === 0 ? [] : findNames(options, walkArguments({ ...all, roots }, ...given))
  const found = await Promise.all([
    walk(hasRoot ? ['/'] : [], [...untouched, ...tests.root]),
    walk(volumes, tests.volumes),
  ])
  // A volume that is mounted in another one of the same disk is found twice.
  return [...new Set(found.flat())]
}

/**
 * find's tests that pass over the folders of an overlay's lower layers. Whatever is created, removed or written to below a folder, overlayfs
 * first copies that folder to the upper layer, as a new inode: its ctime is later than the birth of the upper layer's root, which is made
 * for the container after its image. An entry of the upper layer lies in folders of the upper layer only.
 * Nothing is passed over where the file system does not record births.
 */
async function untouchedFolders(pid: number, baseline: Baseline): Promise<string[]> {
  const { birthtimeMs } = await lstat(`/proc/${pid}/root/`)
  if (birthtimeMs <= 0) return []
  // A clock that was set back between the two must not hide anything that is later than the baseline.
  const before = instantArgument(Math.min(birthtimeMs, baseline.instantMs) - marginMs)
  return ['(', '-type', 'd', '!', '-path', '/', '!', '-newerct', before, '-prune', ')', '-o']
}

/** ctime is stamped from the coarse clock; and few files of an image are unpacked in the last second before its container is created. */
const marginMs = 1_000
