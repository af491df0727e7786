import { readFile } from 'node:fs/promises'

/** @returns how many seccomp filters a process has; undefined where the kernel does not tell (before Linux 5.9) */
export async function filterCountOf(pid: number): Promise<number | undefined> {
  const count = /^Seccomp_filters:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))?.[1]
  return count === undefined ? undefined : Number(count)
}
