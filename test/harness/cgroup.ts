/** Cgroups as the kubelet and runc lay them out, on a machine with version 1 (or hybrid) and on one with version 2. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerSpec } from './manifest.ts'
import { parseQuantity } from './quantity.ts'
import { sleep } from './deadline.ts'

const root = '/sys/fs/cgroup'

/** /sys/fs/cgroup is itself a cgroup2 mount on a unified machine (runc's IsCgroup2UnifiedMode asks the same). */
export const cgroupVersion: 1 | 2 = existsSync(join(root, 'cgroup.controllers')) ? 2 : 1

/** Every hierarchy's folder of one cgroup path; with version 1 there is one for each controller. */
export function cgroupFolders(path: string): string[] {
  if (cgroupVersion === 2) return [join(root, path)]
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(root, entry.name, path))
}

/** The folder of a cgroup in the hierarchy of one controller, e.g. `memory`. */
export function cgroupFolder(path: string, controller: string): string {
  return cgroupVersion === 2 ? join(root, path) : join(root, controller, path)
}

/** Every process in a cgroup and below it. */
export function cgroupProcesses(path: string): number[] {
  return [...new Set(cgroupFolders(path).flatMap(processesIn))]
}

function processesIn(folder: string): number[] {
  try {
    const own = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
    return [...own, ...childFolders(folder).flatMap(processesIn)].filter((pid) => pid > 0)
  } catch {
    return [] // the cgroup is gone, or never was
  }
}

function childFolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name))
}

/**
 * Ends every process of a cgroup and removes it. A frozen process of version 1 does not die of SIGKILL before it
 * is thawed (kernel: cgroup-v1/freezer-subsystem.rst), so it is thawed as well.
 */
export async function removeCgroup(path: string, deadlineMs = 60_000): Promise<void> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const pids = cgroupProcesses(path)
    for (const pid of pids) killQuietly(pid)
    for (const folder of cgroupFolders(path)) thaw(folder)
    if (pids.length === 0 && cgroupFolders(path).every(removeTree)) return
    if (performance.now() > end)
      throw new Error(`cgroup ${path} still holds ${pids.join(' ') || 'no process'}`)
    await sleep(5)
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function thaw(folder: string): void {
  for (const [file, word] of [
    ['freezer.state', 'THAWED'],
    ['cgroup.freeze', '0'],
  ] as const) {
    try {
      if (existsSync(join(folder, file))) writeFileSync(join(folder, file), word)
      for (const child of existsSync(folder) ? childFolders(folder) : []) thaw(child)
    } catch (error) {
      if (!['ENOENT', 'ENODEV', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

function removeTree(folder: string): boolean {
  try {
    for (const child of childFolders(folder)) removeTree(child)
    rmdirSync(folder)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Whether the kernel's OOM killer struck in this cgroup: what containerd reports to the kubelet as OOMKilled. */
export function wasOomKilled(path: string): boolean {
  const file = cgroupVersion === 2 ? 'memory.events' : 'memory.oom_control'
  try {
    const text = readFileSync(join(cgroupFolder(path, 'memory'), file), 'utf8')
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0
  } catch {
    return false // the cgroup is gone, or has no memory controller
  }
}

/**
 * Makes a pod's parent cgroup, so that it is there before the containers'. In version 2 a cgroup has only the controllers that its
 * parent passes on, so each on the way passes on all of its own (libcontainer/cgroups/fs2/create.go, CreateCgroupPath).
 */
export function makeCgroup(path: string): void {
  for (const folder of cgroupFolders(path)) mkdirSync(folder, { recursive: true })
  if (cgroupVersion === 1) return
  const names = path.split('/').filter(Boolean)
  for (const [depth] of ['', ...names].entries()) {
    const folder = join(root, ...names.slice(0, depth))
    const own = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').split(/\s+/).filter(Boolean)
    writeFileSync(join(folder, 'cgroup.subtree_control'), own.map((name) => `+${name}`).join(' '))
  }
}

/** Version 2 counts swap apart; the kubelet allows none (calculateLinuxResources: the sum's limit is memory's own). */
const memoryOf = (limit: number) => (cgroupVersion === 2 ? { limit, swap: limit } : { limit })

const milli = (quantity: string | number | undefined) =>
  quantity === undefined ? 0 : Math.round(parseQuantity(quantity) * 1000)

/**
 * The kubelet's conversion (pkg/kubelet/cm/helpers_linux.go: MilliCPUToShares, MilliCPUToQuota; requests default
 * to the limits): shares from the request, quota in a period of 100 ms from the limit.
 */
export function resourcesOf(spec: ContainerSpec): Record<string, unknown> {
  const limits = spec.resources?.limits ?? {}
  const requests = { ...limits, ...spec.resources?.requests }
  const cpu: Record<string, number> = {
    shares: Math.max(2, Math.floor((milli(requests.cpu) * 1024) / 1000)),
    period: 100_000,
  }
  const limitMilli = milli(limits.cpu)
  if (limitMilli > 0) cpu.quota = Math.max(1000, limitMilli * 100)
  return {
    cpu,
    memory: limits.memory === undefined ? {} : memoryOf(Math.floor(parseQuantity(limits.memory))),
    // One killed process of a container takes the others along: pkg/kubelet/kuberuntime/kuberuntime_container_linux.go,
    // calculateLinuxResources, unless singleProcessOOMKill is configured, which it is not by default.
    ...(cgroupVersion === 2 ? { unified: { 'memory.oom.group': '1' } } : {}),
    // runc's own default device list follows; containerd, too, denies all others.
    devices: [{ allow: false, access: 'rwm' }],
  }
}
