import { parseDurationMs } from '../src/duration.ts'

/** The API server's own default and maximum (admissionregistration.k8s.io/v1, timeoutSeconds). */
const defaultTimeoutMs = 10_000
const maxTimeoutMs = 30_000
/** The time that the answer takes on its way back. */
const marginMs = 500

let lastTimeout: unknown
let lastBudgetMs = budgetMsOf(lastTimeout)

/** The time there is for an answer, from the `?timeout=10s` that the API server sends along: the same one each time. */
export function answerBudgetMs(timeout: unknown): number {
  if (timeout !== lastTimeout) [lastTimeout, lastBudgetMs] = [timeout, budgetMsOf(timeout)]
  return lastBudgetMs
}

function budgetMsOf(timeout: unknown): number {
  const said = typeof timeout === 'string' ? parseDurationMs(timeout) : undefined
  const timeoutMs = Math.min(said ?? defaultTimeoutMs, maxTimeoutMs)
  return Math.max(timeoutMs - marginMs, timeoutMs / 2)
}

/** The work's result, or the result of `late` once the time is up. The signal then aborts the work. */
export async function withinDeadline<T>(
  budgetMs: number,
  work: (signal: AbortSignal) => Promise<T> | T,
  late: () => T,
): Promise<T> {
  const abort = new AbortController()
  const working = work(abort.signal)
  // Done already: nothing is timed.
  if (!(working instanceof Promise)) return working
  const { promise: passed, resolve } = Promise.withResolvers<T>()
  const timer = setTimeout(() => {
    abort.abort()
    resolve(late())
  }, budgetMs)
  // The connection that waits for the answer keeps the process alive.
  timer.unref()
  try {
    return await Promise.race([working, passed])
  } finally {
    clearTimeout(timer)
  }
}
