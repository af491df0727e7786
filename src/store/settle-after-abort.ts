/**
 * An operation that honours its signal usually cleans up and rejects within milliseconds. A call into a hung network file system never
 * returns and cannot be cancelled. The caller then gets an error after a grace, and the operation ends and cleans up whenever the file
 * system answers.
 * @param givenUp called when the caller gets that error
 */
export async function settleAfterAbort<T>(
  work: Promise<T>,
  signal: AbortSignal,
  graceMs: number,
  givenUp?: () => void,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let onAbort: (() => void) | undefined
  const patienceLost = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => {
        givenUp?.()
        reject(
          new Error(`no call of the file system returned within ${graceMs} ms`, { cause: signal.reason }),
        )
      }, graceMs)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, patienceLost])
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
