/** Arguments for the bundled GNU find, which walks the container's tree from inside its mount namespace. */

/**
 * Walks each root without entering other mounts. `tests` apply to what is left; mount points themselves are never named.
 * find(1) -path takes a glob, so each byte with a meaning there is escaped.
 */
export function walkArguments(
  roots: readonly string[],
  mountPoints: readonly string[],
  ...tests: string[]
): string[] {
  const skipped = mountPoints.filter((path) => !roots.includes(path))
  const prune: string[] = []
  for (const path of skipped)
    prune.push(...(prune.length === 0 ? [] : ['-o']), '-path', path.replace(/[\\*?[\]]/g, '\\$&'))
  return [...roots, '-xdev', ...(prune.length === 0 ? [] : ['(', ...prune, ')', '-prune', '-o']), ...tests]
}

/** find's `-newerct` argument for an instant: an absolute time with fraction, by seconds since the epoch. */
export function instantArgument(ms: number): string {
  return `@${(ms / 1000).toFixed(3)}`
}

/**
 * find(1) exits with 1 both for a file that vanished meanwhile and when it could not write all it found.
 * @param last the last byte of its output, undefined where there is none
 * @throws Error
 */
export function requireWhole(stderr: string, last: number | undefined): void {
  if (/standard output|write error/.test(stderr) || (last !== undefined && last !== 0))
    throw new Error(`what find(1) found could not be written: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}
