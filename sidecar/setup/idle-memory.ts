/**
 * Gives back what work has left behind. V8 collects its old generation when that is nearly full, which in a process that waits all
 * day is never: what a start, a checkpoint or a scrape left there would stay resident for the pod's life (2 MiB after the start
 * alone, make bench-sidecar-memory).
 */

/** How often it is looked at. */
const everyMs = 10_000
/** Growth of the heap that is worth a collection, which takes some 10 ms. */
const worthBytes = 1024 ** 2

type Heap = { usedBytes: () => number; collect: () => void }

/**
 * @param heap V8's own, whose collector the pod's flag `--expose-gc` makes callable; without the flag nothing is done
 * @returns a function that ends it
 */
export function collectWhenIdle(heap: Heap | undefined = v8Heap()): () => void {
  if (heap === undefined) return () => undefined
  let leftBytes = 0
  const timer = setInterval(() => {
    if (heap.usedBytes() - leftBytes < worthBytes) return
    heap.collect()
    leftBytes = heap.usedBytes()
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

function v8Heap(): Heap | undefined {
  const collect = (globalThis as { gc?: () => void }).gc
  return collect && { usedBytes: () => process.memoryUsage().heapUsed, collect: () => collect() }
}
