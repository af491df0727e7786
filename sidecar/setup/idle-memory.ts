/**
 * Collects garbage while the sidecar is idle. V8 collects its old generation when that is nearly full, which never happens in an idle
 * process: the garbage of the start, of a checkpoint or of a scrape would stay resident for the life of the pod (2 MiB after the start
 * alone, make bench-sidecar-memory).
 */

/** How often the sidecar checks its heap. */
const everyMs = 10_000
/** The growth of the heap that is worth a collection, which takes about 10 ms. */
const worthBytes = 1024 ** 2

type Heap = { usedBytes: () => number; collect: () => void }

/**
 * @param heap the heap of V8. The flag `--expose-gc` makes its collector callable; without the flag nothing happens
 * @returns a function that stops the checks
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
