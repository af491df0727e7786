/** Reads the processes of the pod from /proc. The containers share the PID namespace of the pod (shareProcessNamespace). */
import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { readFile, readdir, readlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf } from '../../src/errors.ts'
import type { StdioPipe } from '../../src/manifest.ts'
import { readStat, readStatNow, type ProcessStat } from '../../src/process-stat.ts'

/** Every process of this PID namespace. */
export async function everyProcess(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
}

/** A process and all its descendants, parents first; empty when it does not exist. */
export async function treeOf(root: number): Promise<number[]> {
  const parents = new Map<number, number[]>()
  for (const pid of await everyProcess()) {
    const stat = await readStat(pid)
    if (stat === undefined) continue
    const siblings = parents.get(stat.parent)
    if (siblings === undefined) parents.set(stat.parent, [pid])
    else siblings.push(pid)
  }
  if ((await readStat(root)) === undefined) return []
  const tree = [root]
  for (let at = 0; at < tree.length; at++)
    for (const child of parents.get(tree[at] ?? 0) ?? []) tree.push(child)
  return tree
}

/** The start of the process in milliseconds since the epoch: to the second, and never too late. */
export async function startOf(pid: number): Promise<number> {
  const ticks = await startTicksOf(pid)
  const booted = Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1'))?.[1])
  return (booted + Math.floor(ticks / 100) - 1) * 1_000
}

/** When the process began, in milliseconds since the epoch, by today's clock; to some 20 ms. */
export async function startByClockOf(pid: number): Promise<number> {
  const ticks = await startTicksOf(pid)
  const upSeconds = Number((await readFile('/proc/uptime', 'latin1')).split(' ')[0])
  return Date.now() - (upSeconds * 1_000 - ticks * 10)
}

/**
 * Identifies one life of a process: its number, and the tick of the machine's clock at which it began. A later process may have the same
 * number, as the next launcher of a container mostly has (asidePid). Synchronous, as `isAliveNow`.
 */
export function lifeOf(pid: number): string {
  return `${pid}@${readStatNow(pid)?.startTicks ?? ''}`
}

/** Whether the process exists and is more than a zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  return hasNotEnded(await readStat(pid))
}

/** As `isAlive`, but synchronous: for a message that must be judged before the next one arrives. */
export function isAliveNow(pid: number): boolean {
  return hasNotEnded(readStatNow(pid))
}

function hasNotEnded(stat: ProcessStat | undefined): boolean {
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X'
}

/** In ticks of 10 ms since the machine booted. @throws where there is no such process */
export async function startTicksOf(pid: number): Promise<number> {
  const stat = await readStat(pid)
  if (stat === undefined) throw new Error(`process ${pid} has ended`)
  return stat.startTicks
}

/** All thread ids of the processes: each is a PID that a restore will need. */
export async function threadsOf(pids: readonly number[]): Promise<number[]> {
  const lists = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/task`).catch(() => [])))
  return lists.flat().map(Number)
}

/** The pipes on descriptors 0 to 2, through which the output of the application leaves the container. */
export async function stdioPipesOf(pid: number): Promise<StdioPipe[]> {
  const pipes: StdioPipe[] = []
  for (const fd of [0, 1, 2] as const) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    const inode = /^pipe:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined) pipes.push({ fd, inode })
  }
  return pipes
}

/** The other processes in the mount namespace of `pid`, which is that of its container. */
export async function containerProcesses(pid: number): Promise<number[]> {
  const home = await readlink(`/proc/${pid}/ns/mnt`).catch(() => '')
  if (home === '') return []
  const found: number[] = []
  for (const other of await everyProcess())
    if (other !== pid && (await readlink(`/proc/${other}/ns/mnt`).catch(() => '')) === home) found.push(other)
  return found
}

/** Kills processes by SIGKILL and waits at most `deadlineMs` for their end. Returns those that are left. */
export async function killAll(pids: readonly number[], deadlineMs: number): Promise<number[]> {
  let left = [...pids]
  for (const until = Date.now() + deadlineMs; left.length > 0;) {
    for (const pid of left) signal(pid, 'SIGKILL')
    const alive = await Promise.all(left.map(isAlive))
    left = left.filter((_, index) => alive[index])
    if (Date.now() > until) break
    if (left.length > 0) await delay(10)
  }
  return left
}

/** Sends a signal; false when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals | number): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    throw error
  }
}

/**
 * The bytes that a dump of the processes writes: anonymous and shared memory, not mapped files (proc(5)). Memory that the processes share
 * counts once, as Pss: RssShmem would count the batches of a data loader once for each of its workers.
 */
export async function memoryOf(pids: readonly number[]): Promise<number> {
  let bytes = 0
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
    bytes += kilobytes(status, 'RssAnon') * 1024
    const shared = kilobytes(status, 'RssShmem')
    // The rollup walks the page tables: it is read only for a process with shared memory.
    const rollup =
      shared === 0 ? '' : await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => undefined)
    bytes += (rollup === undefined ? shared : kilobytes(rollup, 'Pss_Shmem')) * 1024
  }
  return bytes
}

function kilobytes(text: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}

/** Whether two processes have the same mount namespace, and so are in the same container. */
export function shareMounts(one: number, other: number): boolean {
  try {
    return readlinkSync(`/proc/${one}/ns/mnt`) === readlinkSync(`/proc/${other}/ns/mnt`)
  } catch {
    return false
  }
}

/** Of a tree whose root a manifest names, what is in the container of `launcher`: another container's process may have that number. */
export async function treeInContainer(root: number, launcher: number): Promise<number[]> {
  return (await treeOf(root)).filter((pid) => shareMounts(pid, launcher))
}

/** The hash in the file name of the launcher that the root of a tree runs. After an upgrade the container's launcher has another one. */
export async function launcherHashOf(root: number): Promise<string | undefined> {
  const exe = await readlink(`/proc/${root}/exe`).catch(() => '')
  return /\/launcher-([0-9a-f]{12})$/.exec(exe)?.[1]
}

/**
 * Whether a process runs a launcher of Reprieve: its program is, by device and inode, a file that Reprieve put in the shared volume. Any
 * process of the pod may connect to the sidecar's socket, but only protected containers mount that volume and can run a launcher from it.
 */
export function runsLauncher(pid: number, folder: string): boolean {
  if (pid <= 1 || pid === process.pid) return false
  try {
    const program = statSync(`/proc/${pid}/exe`)
    return readdirSync(folder)
      .filter((name) => name.startsWith('launcher-'))
      .map((name) => statSync(`${folder}/${name}`))
      .some(({ dev, ino }) => dev === program.dev && ino === program.ino)
  } catch {
    return false
  }
}
