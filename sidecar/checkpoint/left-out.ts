/**
 * Processes of the container that are no part of the application's tree: `kubectl exec` or a postStart hook began them, and no checkpoint
 * holds them. Nobody else would tell.
 */
import { readFile } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import { containerProcesses, isAlive, runsLauncher, startByClockOf, treeOf } from '../proc/process-tree.ts'

/** A probe of the kubelet mostly lives no longer. */
const longLivedMs = 5_000
const mostTold = 8

/** @returns number and name of each, of eight at most */
export async function processesLeftOut(
  launcherPid: number,
  root: number,
  { livedMs = longLivedMs } = {},
): Promise<string[]> {
  // CRIU and the tools of other checkpoints are entered there from here.
  const known = new Set([...(await treeOf(root)), ...(await treeOf(process.pid))])
  const found: string[] = []
  for (const pid of await containerProcesses(launcherPid)) {
    if (found.length === mostTold) break
    if (known.has(pid) || runsLauncher(pid, volumePaths.bin) || !(await isAlive(pid))) continue
    const began = await startByClockOf(pid).catch(() => Number.POSITIVE_INFINITY)
    if (Date.now() - began < livedMs) continue
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
    found.push(`${pid} (${name.trim()})`)
  }
  return found
}
