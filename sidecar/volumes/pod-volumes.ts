/** The volumes that live and die with the pod, as one container mounts them, and the containers that mount them besides. */
import { readFileSync, readlinkSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import { parseMounts, type EphemeralRoots, type Mount } from '../files/mounts.ts'
import { everyProcess, runsLauncher } from '../proc/process-tree.ts'

/** `device` and `root` name it in every container of the pod (proc_pid_mountinfo(5)): a subPath has a root below the volume's. */
export type PodVolume = {
  path: string
  device: string
  root: string
  /** The pod's own /dev/shm, which every container has, whether it uses it or not. */
  isGiven: boolean
}

export async function podVolumes(
  pid: number,
  { roots }: EphemeralRoots,
  plan: ContainerPlan,
): Promise<PodVolume[]> {
  const mounts = parseMounts(await readFile(`/proc/${pid}/mountinfo`, 'utf8'))
  const last = new Map(mounts.map((mount) => [mount.path, mount]))
  return [...last.values()].flatMap(({ path, device, root, ofImage }) => {
    if (path === '/' || ofImage || !roots.includes(path)) return []
    const isGiven = path === '/dev/shm' && !plan.emptyDirs.some((one) => /^\/dev\/shm\/*$/.test(one))
    return [{ path, device, root, isGiven }]
  })
}

/** Whether two containers can see the same files in them. */
export function overlap(
  one: Pick<PodVolume, 'device' | 'root'>,
  other: Pick<PodVolume, 'device' | 'root'>,
): boolean {
  return one.device === other.device && (isBelow(one.root, other.root) || isBelow(other.root, one.root))
}

function isBelow(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`)
}

/** What names a file in every container: its device, and its path within the file system. @param path of the container, below the volume's */
export function nameInPod({ path: mountPoint, device, root }: PodVolume, path: string): string {
  return `${device} ${root === '/' ? '' : bytesOf(root)}${path.slice(bytesOf(mountPoint).length)}`
}

/** Names of files are bytes, each a character; those of mounts are texts. */
export function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}

export type Neighbours = {
  /** Whether another container has it mounted and may write there. */
  mounts(volume: PodVolume): boolean
  /** Whether one has a file of it open or mapped. */
  uses(volume: PodVolume): boolean
  /** @param file DEVICE:INODE */
  hold(file: string): boolean
}

/** What the running programs of the pod's other containers have; a launcher that waits is none. */
export async function lookAtNeighbours(pid: number): Promise<Neighbours> {
  const beside = programsBeside(pid, await everyProcess())
  const held = new Set<string>()
  for (const processes of beside.values()) for (const other of processes) await addHeld(other, held)
  const mounted = await mountedBeside(beside)
  return {
    mounts: (volume) => mounted.some((mount) => overlap(mount, volume)),
    uses: ({ device }) => [...held].some((file) => file.startsWith(`${device}:`)),
    hold: (file) => held.has(file),
  }
}

/** The mount points of those of a container's volumes that another container mounts. */
export async function sharedPaths(
  pid: number,
  roots: EphemeralRoots,
  plan: ContainerPlan,
): Promise<string[]> {
  const mounted = await mountedBeside(programsBeside(pid, await everyProcess()))
  const volumes = await podVolumes(pid, roots, plan)
  return volumes.filter((volume) => mounted.some((mount) => overlap(mount, volume))).map(({ path }) => path)
}

/** The programs of each other container. */
function programsBeside(pid: number, processes: readonly number[]): Map<string, number[]> {
  const own = new Set([mountsOf(pid), mountsOf(process.pid), ''])
  const beside = new Map<string, number[]>()
  for (const other of processes) {
    const mounts = mountsOf(other)
    if (other === 1 || own.has(mounts) || runsLauncher(other, volumePaths.bin)) continue
    beside.set(mounts, [...(beside.get(mounts) ?? []), other])
  }
  return beside
}

/** What they mount and may write to. */
async function mountedBeside(beside: ReadonlyMap<string, number[]>): Promise<Mount[]> {
  const lists = [...beside.values()].map(async ([pid]) => {
    const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
    return parseMounts(text).filter(({ readOnly }) => !readOnly)
  })
  return (await Promise.all(lists)).flat()
}

function mountsOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return ''
  }
}

async function addHeld(pid: number, held: Set<string>): Promise<void> {
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const file = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined)
    if (file?.isFile()) held.add(fileName(file.dev, file.ino))
  }
  for (const [, major = '', minor = '', inode = ''] of mapsOf(pid).matchAll(mapping))
    if (inode !== '0') held.add(`${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}:${inode}`)
}

const mapping = /^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)/gm

function mapsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'latin1')
  } catch {
    return ''
  }
}

/** makedev(3), as the kernel gives a device to programs (new_encode_dev). */
export function fileName(device: bigint, inode: bigint): string {
  const major = (device >> 8n) & 0xfffn
  const minor = (device & 0xffn) | ((device >> 12n) & 0xfff00n)
  return `${major}:${minor}:${inode}`
}
