/**
 * Folders of the image that the application has renamed. An overlay with `redirect_dir` renames them as they are, so nothing below has a new
 * ctime; any other refuses (EXDEV), and mv(1) makes a copy. CRI-O has it on many nodes, by `metacopy=on` in storage.conf.
 */
import { dirname } from 'node:path/posix'
import type { Baseline } from './baseline.ts'
import { noteFound, printed, type Changed } from './changed-files.ts'
import { findNames, instantArgument, walkArguments, type FindOptions } from './find.ts'
import { mountOf, type EphemeralRoots } from './mounts.ts'

/** A command line has room for some thousand more. */
const foldersAtOnce = 500

/**
 * Adds what lies in folders that the container began without.
 * @param known every folder of the baseline that held something
 */
export async function addMoved(
  options: FindOptions,
  roots: EphemeralRoots,
  baseline: Baseline,
  { changed, known }: { changed: Changed; known: ReadonlySet<string> },
): Promise<void> {
  if (!roots.movesFolders) return
  const isInRoot = (path: string) => path !== '/' && mountOf(path, roots.mountPoints) === '/'
  const added = new Set([...changed.directories].filter((path) => !known.has(path) && isInRoot(path)))
  const highest = [...added].filter((path) => !added.has(dirname(path)))
  const unchanged = ['!', '-newerct', instantArgument(baseline.instantMs), ...printed('n')]
  for (let at = 0; at < highest.length; at += foldersAtOnce) {
    // Arguments are text: a folder of another name is passed over.
    const some = highest.slice(at, at + foldersAtOnce).map((path) => Buffer.from(path, 'latin1').toString())
    const found = await findNames(options, walkArguments({ ...roots, roots: some }, ...unchanged))
    for (const entry of found) noteFound(changed, entry)
  }
}
