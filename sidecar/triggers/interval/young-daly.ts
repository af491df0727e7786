/**
 * How often to take a checkpoint unasked. Pure. Too often costs checkpoints, too seldom costs the work since the last one; the
 * least is lost at √(2 · cost · mean time between failures). J. W. Young, CACM 17(9), 1974; J. T. Daly, FGCS 22(3), 2006.
 */
import type { Measured } from '../../container/ledger.ts'

/** Shorter than this the model holds no more: starting CRIU, storing and pruning cost what nobody measures. */
export const shortestMs = 60_000
/** Longer than this nobody wants to lose, whatever the model says of machines that hardly ever fail. */
export const longestMs = 2 * 3_600_000
/** Storing goes on beside the application; it must not go on always. */
export const mostBusyShare = 0.25
/** Before the first has been measured: soon enough to protect what is new, late enough that it has something to lose. */
export const firstMs = 300_000

/**
 * What one checkpoint takes from the application at the most: from CRIU's start, since it stops the tasks one by one, to their
 * going on; and what storing computes beside it, which on a machine whose processors are all wanted somebody goes without
 * (test/e2e/interval.test.ts compares).
 */
export function costMs(measured: readonly Measured[]): number | undefined {
  return mean(measured.map(costOf))
}

/** One that ended the application held it still while it was stored, which no periodic one does: of that its dump alone counts. */
function costOf({ phases, ended = false }: Measured): number {
  const { startMs = 0, dumpMs = 0, archiveMs = 0, frozenMs = 0, storeCpuMs = 0 } = phases
  return startMs + (ended ? Math.max(dumpMs, archiveMs) : frozenMs) + storeCpuMs
}

/** And how long it is under way in all, storing included. */
export function busyMs(measured: readonly Measured[]): number | undefined {
  return mean(measured.map(({ phases }) => phases.totalMs ?? 0))
}

export function youngDalyMs(costMs: number, meanTimeBetweenFailuresMs: number): number {
  return Math.sqrt(2 * costMs * meanTimeBetweenFailuresMs)
}

/** From the beginning of one checkpoint to that of the next, within bounds. */
export function autoIntervalMs(measured: readonly Measured[], meanTimeBetweenFailuresMs: number): number {
  const cost = costMs(measured)
  if (cost === undefined) return firstMs
  const best = youngDalyMs(cost, meanTimeBetweenFailuresMs)
  const least = Math.max(shortestMs, (busyMs(measured) ?? 0) / mostBusyShare)
  return Math.max(least, Math.min(best, longestMs))
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}
