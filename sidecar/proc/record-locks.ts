/**
 * The record locks (fcntl(2), POSIX) of processes, from /proc. CRIU loses two kinds of them in a restore. It takes the locks of a process first,
 * and then opens the files that the process has mapped, and closes them again: with any descriptor of a file that a process closes, it
 * loses its record locks on that file. And it leaves out those that a process holds through a descriptor that it shares with another one.
 */
import { readFileSync, readdirSync } from 'node:fs'

const types: Record<string, number> = { READ: 0, WRITE: 1 }
/** `lock: 1: POSIX  ADVISORY  WRITE 7 fe:00:2147575 20 29`, or `EOF` as its end. */
const descriptorLine = /^lock:\s+\d+: POSIX +ADVISORY +(READ|WRITE) +\d+ (\S+) (\d+) (\d+|EOF)$/gm

/** By PID, how many record locks a process has: proc_locks(5). */
export function lockCounts(locks = textOf('/proc/locks')): Map<number, number> {
  const counts = new Map<number, number>()
  for (const [, pid] of locks.matchAll(/^\d+: POSIX +ADVISORY +\w+ +(\d+) /gm))
    counts.set(Number(pid), (counts.get(Number(pid)) ?? 0) + 1)
  return counts
}

/**
 * @param count how many the process has
 * @returns each as FD:TYPE:START:LENGTH, with the numbers of fcntl.h, which go to 2^63
 */
export function recordLocksOf(pid: number, count: number): string[] {
  // The copies of a descriptor show the same locks, by file and start.
  const found = new Map<string, string>()
  for (const fd of count > 0 ? descriptorsOf(pid) : []) {
    if (found.size === count) break
    const text = textOf(`/proc/${pid}/fdinfo/${fd}`)
    for (const [, type = '', file = '', start = '', end = ''] of text.matchAll(descriptorLine)) {
      const length = end === 'EOF' ? 0n : BigInt(end) + 1n - BigInt(start)
      found.set(`${file} ${start}`, `${fd}:${types[type]}:${start}:${length}`)
    }
  }
  return [...found.values()]
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`)
  } catch {
    return []
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
