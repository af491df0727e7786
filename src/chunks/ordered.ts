/** Starts `work` on up to `width` items ahead and yields the results in the order of the items. */
export async function* ordered<In, Out>(
  items: Iterable<In> | AsyncIterable<In>,
  width: number,
  work: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const ahead: Promise<Out>[] = []
  try {
    for await (const item of items) {
      const started = work(item)
      // Awaited in its turn; until then a failure is nobody's.
      started.catch(() => {})
      ahead.push(started)
      const first = ahead.length >= width ? ahead.shift() : undefined
      if (first !== undefined) yield await first
    }
    for (let first = ahead.shift(); first !== undefined; first = ahead.shift()) yield await first
  } finally {
    await Promise.allSettled(ahead)
  }
}
