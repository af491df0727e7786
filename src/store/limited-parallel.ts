/**
 * Applies `work` to every item, at most `width` at once. The first failure aborts the rest, and this rejects with it
 * only when nothing runs any more: whoever cleans up afterwards has the place to itself.
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
 * Both results, or the first's failure, or the second's: but only when both have ended. With `Promise.all` a file
 * could be closed, and its descriptor's number given to another, under a call that still uses it.
 */
export async function bothDone<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return [await first, await second]
}
