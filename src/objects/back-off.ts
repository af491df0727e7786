/** When a failed request is tried again: after a pause that doubles, of which a random part is waited, so that a thousand nodes do not come back at once. */

export type BackOff = { tries: number; firstMs: number; longestMs: number }

/** Five tries: 0.2, 0.4, 0.8, 1.6 s at most between them, or as long as the server asks for. */
export const defaultBackOff: BackOff = { tries: 5, firstMs: 200, longestMs: 5_000 }

/** A server that asks for more is not waited for so long. */
export const longestRetryAfterMs = 30_000

/**
 * @param failures how many tries have failed, at least 1
 * @param retryAfterMs what the server asked for
 * @param random 0 to 1
 */
export function pauseMs(
  { firstMs, longestMs }: BackOff,
  failures: number,
  retryAfterMs: number | undefined,
  random: number,
): number {
  const most = Math.min(longestMs, firstMs * 2 ** (failures - 1))
  // Never none: at least half of it is waited.
  const own = most / 2 + (most / 2) * random
  if (retryAfterMs === undefined) return own
  return Math.min(Math.max(retryAfterMs, 0), longestRetryAfterMs) + own * random
}

/** The header's value: whole seconds, or a date. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
