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
