/**
 * What a memory cgroup's files say, and what of it is pressure. Pure.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
 */

export type MemoryUsage = {
  currentBytes: number
  /** What the kernel can take back without harm before it has to kill: page cache and caches of names. */
  reclaimableBytes: number
}

/** Since the cgroup was made (v2, memory.events). */
export type MemoryEvents = {
  /** How often a process was made to wait and reclaim because `memory.high` was exceeded. */
  high: number
  oomKill: number
}

/** `max` is no limit; so is what v1 says for none: the largest multiple of the page size below 2^63. */
export function parseLimitBytes(text: string): number {
  const word = text.trim()
  if (word === 'max') return Number.POSITIVE_INFINITY
  const bytes = /^\d+$/.test(word) ? Number(word) : Number.NaN
  return bytes >= 2 ** 62 ? Number.POSITIVE_INFINITY : bytes
}

/** The lines `KEY N` of memory.stat, memory.events, cgroup.events. */
export function parseFlatKeys(text: string): Map<string, number> {
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [key = '', value = ''] = line.split(' ')
    if (key !== '' && /^\d+$/.test(value)) values.set(key, Number(value))
  }
  return values
}

/** `total` of the line `full`: https://docs.kernel.org/accounting/psi.html */
export function parseStalledUs(pressure: string): number | undefined {
  const total = /^full .*\btotal=(\d+)$/m.exec(pressure)?.[1]
  return total === undefined ? undefined : Number(total)
}

/** `file` pages on the lists that reclaim works on: shared memory is not among them, it can only be swapped. */
export function reclaimableOf(stat: ReadonlyMap<string, number>, version: 1 | 2): number {
  // v1 counts the cgroup alone, and with `total_` those below it as well.
  const keys =
    version === 1
      ? ['total_active_file', 'total_inactive_file']
      : ['active_file', 'inactive_file', 'slab_reclaimable']
  return keys.reduce((sum, key) => sum + (stat.get(key) ?? 0), 0)
}

export function unreclaimableBytes({ currentBytes, reclaimableBytes }: MemoryUsage): number {
  return Math.max(0, currentBytes - reclaimableBytes)
}

const pageBytes = 4096
const largestPageBytes = 65_536

/**
 * Where the throttle is set: so many percent of the limit, in whole pages as the kernel keeps it, also where those are of 64 KiB (arm64): another value that
 * is read back than was written would be taken for somebody else's.
 */
export function thresholdBytes(limitBytes: number, percent: number): number {
  return Math.floor((limitBytes * percent) / 100 / largestPageBytes) * largestPageBytes
}

/**
 * How far below the threshold usage still counts as having reached it. Each processor accounts up to 64 pages ahead or
 * behind (MEMCG_CHARGE_BATCH, mm/memcontrol.c), so the kernel acts on a sum that is off by as much; but never by more than
 * this part of the limit, or small containers on large machines would be stopped far too early.
 */
const mostSlack = 0.005
export function slackBytes(limitBytes: number, processors: number): number {
  return Math.min(64 * pageBytes * processors, limitBytes * mostSlack)
}

/** Whether the application itself fills the memory: page cache at the limit is what page cache is for. */
export function isPressure(
  usage: MemoryUsage,
  limitBytes: number,
  percent: number,
  processors: number,
): boolean {
  return unreclaimableBytes(usage) >= thresholdBytes(limitBytes, percent) - slackBytes(limitBytes, processors)
}

/** A removed throttle is set again this many percent of the limit below the threshold: a sawtooth must not trip it at each tooth. */
const rearmPercent = 10
export function mayRearm(usage: MemoryUsage, limitBytes: number, percent: number): boolean {
  return unreclaimableBytes(usage) < thresholdBytes(limitBytes, Math.max(percent - rearmPercent, percent / 2))
}

/**
 * The raised throttle: 3 % of the limit are left for allocations that the kernel slows down too late. It is raised for pages of files in
 * constant use: they count as reclaimable, and the application reads reclaimed ones again at once.
 */
const raisedPercent = 97
export function raisedThrottleBytes(limitBytes: number, percent: number): number {
  return thresholdBytes(limitBytes, Math.max(percent, raisedPercent))
}
