/** What an application has used and holds, by its process tree: whether it made progress, and how much there is to dump. */
import { readFile } from 'node:fs/promises'
import { memoryOf, treeOf } from './process-tree.ts'

export type Vitals = {
  /** Of all its processes, and of those that they have reaped. */
  cpuMs: number
  memoryBytes: number
  /** One of them ignores SIGCHLD: what its ended children used is nowhere (getrusage(2), RUSAGE_CHILDREN). */
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

/** Bit N-1 of SigIgn is signal N (proc_pid_status(5)); SIGCHLD is 17. SA_NOCLDWAIT, which does the same, nobody tells. */
async function ignoresChildren(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const mask = /^SigIgn:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & (1n << 16n)) !== 0n
}

export async function cpuMsOf(pids: readonly number[]): Promise<number> {
  const times = await Promise.all(pids.map(cpuMsOfOne))
  return times.reduce((sum, ms) => sum + ms, 0)
}

/** utime, stime, cutime and cstime, the fields 14 to 17, in ticks of 10 ms (proc_pid_stat(5), USER_HZ). */
async function cpuMsOfOne(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0)
}
