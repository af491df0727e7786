/**
 * What a tree of processes holds below the paths that do not travel (`reprieve.dev/exclude`). CRIU finds out at the restore only, when the
 * application has ended: so it is looked for before the dump, and again while everything stands still.
 */
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { dumpObstacles } from '../../src/dump-obstacles.ts'
import { ReprieveError } from '../../src/errors.ts'
import { parseMappings } from '../files/file-uses.ts'

export type ExcludedHold = { pid: number; path: string }

export type HoldOptions = {
  /** All processes of the tree. */
  pids: readonly number[]
  excluded: readonly string[]
  /** The container's baseline: what is older was there before the application, and an init container puts it there anew. */
  sinceMs: number
}

/** @throws ReprieveError `dump-failed` */
export function requireNoneExcluded(options: HoldOptions): void {
  const hold = excludedHold(options)
  if (hold !== undefined) throw holdsExcluded(hold.path, `process ${hold.pid} has ${hold.path}`)
}

/**
 * The same of what inotify watches, which /proc tells by inodes only (watched-paths.ts).
 * @param pid any process of the container
 * @throws ReprieveError `dump-failed`
 */
export function requireNoneWatched(
  paths: readonly string[],
  { pid, excluded, sinceMs }: Omit<HoldOptions, 'pids'> & { pid: number },
): void {
  const held = paths.find((path) => isMissingLater(path, `/proc/${pid}/root${path}`, excluded, sinceMs))
  if (held !== undefined) throw holdsExcluded(held, `it watches ${held}`)
}

function holdsExcluded(path: string, who: string): ReprieveError {
  const obstacle = 'holds-excluded-file'
  return new ReprieveError('dump-failed', `${dumpObstacles[obstacle].means}: ${who}`, { obstacle, path })
}

/** The first that would be missing at a restore. At once: /proc answers from memory. */
export function excludedHold({ pids, excluded, sinceMs }: HoldOptions): ExcludedHold | undefined {
  if (excluded.length === 0) return undefined
  for (const pid of pids)
    for (const { path, through } of heldPaths(pid, excluded))
      if (isMissingLater(path, through, excluded, sinceMs)) return { pid, path }
  return undefined
}

type Held = { path: string; through: string }

function heldPaths(pid: number, excluded: readonly string[]): Held[] {
  const links = [
    'cwd',
    'root',
    'exe',
    ...orElse(() => readdirSync(`/proc/${pid}/fd`), []).map((fd) => `fd/${fd}`),
  ]
  const linked = links.map((name): Held => {
    const through = `/proc/${pid}/${name}`
    return { path: orElse(() => readlinkSync(through), ''), through }
  })
  const mapped = parseMappings(
    orElse(() => readFileSync(`/proc/${pid}/maps`, 'utf8'), ''),
    excluded,
  )
  const through = ({ range }: { range: string }) => `/proc/${pid}/map_files/${range}`
  return [
    ...linked,
    ...mapped.map((mapping): Held => ({ path: mapping.path, through: through(mapping) })),
    ...boundSockets(pid, linked),
  ]
}

/** A socket comes back where it was bound: its folder must be there. @returns the folders */
function boundSockets(pid: number, linked: readonly Held[]): Held[] {
  const inodes = new Set(linked.flatMap(({ path }) => /^socket:\[(\d+)\]$/.exec(path)?.[1] ?? []))
  if (inodes.size === 0) return []
  const table = orElse(() => readFileSync(`/proc/${pid}/net/unix`, 'utf8'), '')
  return [...table.matchAll(/^\S+: (?:\S+ +){5}(\d+) (\/.*)\/[^/]*$/gm)].flatMap(
    ([, inode = '', path = '']) => (inodes.has(inode) ? [{ path, through: `/proc/${pid}/root${path}` }] : []),
  )
}

function isMissingLater(
  path: string,
  through: string,
  excluded: readonly string[],
  sinceMs: number,
): boolean {
  const isBelow = excluded.some((one) => path.startsWith(`${one}/`))
  if (!isBelow && !excluded.includes(path)) return false
  const stats = orElse(() => statSync(through), undefined)
  // Closed meanwhile, or without a name: the contents of such a file are in the images.
  if (stats === undefined || stats.nlink === 0) return false
  // The excluded folder itself travels. In one that was there before the application, entries may have changed.
  if (stats.isDirectory()) return isBelow && !(stats.birthtimeMs > 0 && stats.birthtimeMs < sinceMs)
  return stats.ctimeMs >= sinceMs
}

/** A process may end, and a descriptor be closed, in between. */
function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look()
  } catch {
    return otherwise
  }
}
