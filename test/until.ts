/** Captured before a test puts a clock of its own in their place. */
const [realTimeout, realNow] = [setTimeout, performance.now.bind(performance)]
/** Ends the test of what never happens, and nothing else: a machine that is busy with other things may take long. */
const defaultDeadlineMs = 60_000

/**
 * Looks every few milliseconds until there is something to see: anything but undefined, null, false, 0 and the empty text.
 * @throws Error that tells what was waited for
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  deadlineMs = defaultDeadlineMs,
): Promise<NonNullable<T>> {
  for (const end = realNow() + deadlineMs; ;) {
    const seen = await look()
    if (seen) return seen
    if (realNow() > end) throw new Error(`waited ${deadlineMs} ms for: ${what}`)
    await new Promise((resolve) => realTimeout(resolve, 5))
  }
}
