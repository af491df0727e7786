/**
 * How near the node is to the kubelet's hard eviction, which gives no grace. Pure.
 *
 * `memory.available` is the node's capacity less the working set of its root cgroup, and not MemAvailable
 * (https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals). The working set is usage less
 * inactive file pages (cadvisor, container/libcontainer/handler.go). The usage of the root cgroup is, with version 2,
 * MemTotal - MemFree (opencontainers/cgroups, fs2/memory.go, rootStatsFromMeminfo); with version 1 the kernel counts page cache,
 * swap cache and anonymous memory (mem_cgroup_usage, mm/memcontrol-v1.c), and no memory of its own.
 */

const kibibyte = 1024

/** The fields of /proc/meminfo, in bytes. */
export function parseMeminfo(text: string): Map<string, number> {
  const values = new Map<string, number>()
  for (const [, key = '', amount = ''] of text.matchAll(/^([^:\n]+):\s+(\d+) kB$/gm))
    values.set(key, Number(amount) * kibibyte)
  return values
}

export function availableBytes(meminfo: ReadonlyMap<string, number>, version: 1 | 2): number {
  const of = (key: string) => meminfo.get(key) ?? 0
  const usage =
    version === 2
      ? of('MemTotal') - of('MemFree')
      : of('Cached') + of('Buffers') + of('SwapCached') + of('AnonPages')
  return of('MemTotal') - Math.max(0, usage - of('Inactive(file)'))
}

/** Of /proc/pressure/memory: percent of the last 10 s in which some task, or every task, waited for memory. */
export type Stall = { some: number; full: number }

/** Zeros where the kernel has no PSI (the file is missing, or `psi=0`). */
export function parseStall(text: string | undefined): Stall {
  const of = (kind: string) => Number(new RegExp(`^${kind} avg10=([\\d.]+) `, 'm').exec(text ?? '')?.[1] ?? 0)
  return { some: of('some'), full: of('full') }
}

export type NodeSample = { atMs: number; availableBytes: number; stall: Stall }

/** Bytes a millisecond by which available memory shrinks; 0 where it grows. Over all samples, so that one jump is no trend for long. */
export function shrinkRate(samples: readonly NodeSample[]): number {
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
 * @param evictionBytes the kubelet's threshold
 * @param dumpMs how long a checkpoint will take
 */
export function judgeNode(
  samples: readonly NodeSample[],
  evictionBytes: number,
  dumpMs: number,
): NodeVerdict {
  const last = samples.at(-1)
  if (last === undefined) return { press: false }
  const rate = shrinkRate(samples)
  const neededMs = dumpMs + marginMs
  const then = last.availableBytes - rate * neededMs
  if (then < evictionBytes) {
    const arithmetic = `${last.availableBytes} bytes available, shrinking by ${Math.round(rate * 1000)} a second, evicted below ${evictionBytes}; a checkpoint takes ${Math.round(neededMs)} ms`
    return { press: true, why: arithmetic }
  }
  if (last.stall.full >= stalledPercent && last.availableBytes < 2 * evictionBytes)
    return {
      press: true,
      why: `every task waits for memory ${last.stall.full} % of the time, ${last.availableBytes} bytes available, evicted below ${evictionBytes}`,
    }
  return { press: false }
}

/** Pressed once, it is over when twice the threshold is available and nothing shrinks towards it. */
export function isRelieved(samples: readonly NodeSample[], evictionBytes: number, dumpMs: number): boolean {
  const last = samples.at(-1)
  return (
    last !== undefined &&
    last.availableBytes > 2 * evictionBytes &&
    !judgeNode(samples, evictionBytes, dumpMs).press
  )
}
