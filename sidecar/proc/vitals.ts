/** The CPU time and the memory of an application, by its process tree: its progress, and the size of its dump. */
import { readFile } from 'node:fs/promises'
import { readStat } from '../../src/process-stat.ts'
import { memoryOf, treeOf } from './process-tree.ts'

export type Vitals = {
  /** Of all its processes, and of the children that they have reaped. */
  cpuMs: number
  memoryBytes: number
  /** A process ignores SIGCHLD: the kernel counts the CPU time of its ended children nowhere (getrusage(2), RUSAGE_CHILDREN). */
  forgetsChildren?: boolean
}

/** Undefined when the tree is gone. */
export async function vitalsOf(root: number): Promise<Vitals | undefined> {
  const tree = await treeOf(root)
  if (tree.length === 0) return undefined
  return {
    cpuMs: await cpuMsOf(tree),
    memoryBytes: await memoryOf(tree),
    forgetsChildren: (await Promise.all(tree.map(ignoresChildren))).includes(true),
  }
}

/** Bit N-1 of SigIgn is signal N (proc_pid_status(5)); SIGCHLD is 17. /proc does not show SA_NOCLDWAIT, which has the same effect. */
async function ignoresChildren(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const mask = /^SigIgn:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & (1n << 16n)) !== 0n
}

/** Of the processes and of their children that have ended. */
export async function cpuMsOf(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(pids.map(readStat))
  return stats.reduce((sum, stat) => sum + (stat?.cpuMs ?? 0) + (stat?.childrenCpuMs ?? 0), 0)
}
