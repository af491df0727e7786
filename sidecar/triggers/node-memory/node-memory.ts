/**
 * How near the node is to the kubelet's hard eviction, which gives no grace. Pure.
 *
 * `memory.available` is the node's capacity less the working set of its root cgroup, and not MemAvailable
 * (https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals). The working set is usage less
 * inactive file pages (cadvisor, container/libcontainer/handler.go). The usage of the root cgroup is anonymous memory and page cache, swap
 * cache included, and none of the kernel's own memory, with either version: with 1 the kernel counts it so (mem_cgroup_usage,
 * mm/memcontrol-v1.c), with 2 it is `anon` + `file` of memory.stat (opencontainers/cgroups, fs2/memory.go, rootStatsFromMeminfo, as
 * Kubernetes 1.36 vendors it). Both are sums of the same counters that /proc/meminfo has. It was MemTotal - MemFree with version 2 until
 * runc#3933 of 2023: a kubelet from before that evicts earlier, by what the kernel itself uses.
 */

const kibibyte = 1024

/** The fields of /proc/meminfo, in bytes. */
export function parseMeminfo(text: string): Map<string, number> {
  const values = new Map<string, number>()
  for (const [, key = '', amount = ''] of text.matchAll(/^([^:\n]+):\s+(\d+) kB$/gm))
    values.set(key, Number(amount) * kibibyte)
  return values
}

export function availableBytes(meminfo: ReadonlyMap<string, number>): number {
  const of = (key: string) => meminfo.get(key) ?? 0
  // NR_ANON_MAPPED, and NR_FILE_PAGES, which fs/proc/meminfo.c splits into three.
  const usage = of('AnonPages') + of('Cached') + of('Buffers') + of('SwapCached')
  return of('MemTotal') - Math.max(0, usage - of('Inactive(file)'))
}

/** A `memory.available` below which the kubelet evicts at once: a number of bytes, or a share of the node's capacity. */
export type Eviction = { bytes: number } | { percent: number }

/** A share is of the whole capacity (pkg/kubelet/eviction/api/types.go, GetThresholdQuantity). */
export function evictionBytes(eviction: Eviction, meminfo: ReadonlyMap<string, number>): number {
  if ('bytes' in eviction) return eviction.bytes
  return Math.trunc(((meminfo.get('MemTotal') ?? 0) * eviction.percent) / 100)
}

/** Of /proc/pressure/memory: percent of the last 10 s in which some task, or every task, waited for memory. */
export type Stall = { some: number; full: number }

/** Zeros where the kernel has no PSI (the file is missing, or `psi=0`). */
export function parseStall(text: string | undefined): Stall {
  const of = (kind: string) => Number(new RegExp(`^${kind} avg10=([\\d.]+) `, 'm').exec(text ?? '')?.[1] ?? 0)
  return { some: of('some'), full: of('full') }
}

export type NodeSample = { atMs: number; availableBytes: number; stall: Stall }

/** Two of the usual looks, and what a timer is late. */
const recentMs = 7_000

/**
 * Bytes a millisecond by which available memory shrinks; 0 where it grows. Over all samples, or the newest where it is faster there: what has
 * just begun must not be thinned by the quiet before it, and one look alone may have seen a jump.
 */
export function shrinkRate(samples: readonly NodeSample[]): number {
  const since = (samples.at(-1)?.atMs ?? 0) - recentMs
  return Math.max(meanRate(samples), meanRate(samples.filter(({ atMs }) => atMs >= since)))
}

function meanRate(samples: readonly NodeSample[]): number {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0
  return Math.max(0, first.availableBytes - last.availableBytes) / (last.atMs - first.atMs)
}

/** Beside the dump itself: until the freeze, and until the store has it. */
const marginMs = 3_000
/** Every task waits this much: the node is busier reclaiming than working, and what is still available is hardly to be had. */
const stalledPercent = 40

export type NodeVerdict = { press: false } | { press: true; why: string }

/**
 * Whether a checkpoint must begin now to be complete before the kubelet evicts.
 * @param samples of the last seconds, oldest first
 * @param threshold the kubelet's, in bytes
 * @param dumpMs how long a checkpoint will take
 */
export function judgeNode(samples: readonly NodeSample[], threshold: number, dumpMs: number): NodeVerdict {
  const last = samples.at(-1)
  if (last === undefined) return { press: false }
  const rate = shrinkRate(samples)
  const neededMs = dumpMs + marginMs
  const then = last.availableBytes - rate * neededMs
  if (then < threshold) {
    const arithmetic = `${last.availableBytes} bytes available, shrinking by ${Math.round(rate * 1000)} a second, evicted below ${threshold}; a checkpoint takes ${Math.round(neededMs)} ms`
    return { press: true, why: arithmetic }
  }
  if (last.stall.full >= stalledPercent && last.availableBytes < 2 * threshold)
    return {
      press: true,
      why: `every task waits for memory ${last.stall.full} % of the time, ${last.availableBytes} bytes available, evicted below ${threshold}`,
    }
  return { press: false }
}

/** Pressed once, it is over when twice the threshold is available and nothing shrinks towards it. */
export function isRelieved(samples: readonly NodeSample[], threshold: number, dumpMs: number): boolean {
  const last = samples.at(-1)
  return (
    last !== undefined && last.availableBytes > 2 * threshold && !judgeNode(samples, threshold, dumpMs).press
  )
}
