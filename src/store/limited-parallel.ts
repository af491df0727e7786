/**
 * Applies `work` to every item, at most `width` at once. The first failure aborts the rest. The promise rejects with it only when nothing
 * runs any more, so that the caller can clean up undisturbed.
 */
export async function limitedParallel<In, Out>(
  items: readonly In[],
  width: number,
  signal: AbortSignal,
  work: (item: In, signal: AbortSignal) => Promise<Out>,
): Promise<Out[]> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const results: Out[] = []
  const failures: unknown[] = []
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) {
      if (either.aborted) return
      try {
        results[index] = await work(item, either)
      } catch (error) {
        failures.push(error)
        failed.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  signal.throwIfAborted()
  if (failures.length > 0) throw failures[0]
  return results
}

/**
 * Both results, or the failure of the first, or that of the second, but only when both have settled. With `Promise.all` the caller could
 * close a file that a call still uses, and another file could get its descriptor.
 */
export async function bothDone<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return [await first, await second]
}
