/**
 * Which parts of a container's file tree live and die with the pod. From the kernel's own list of mounts, read
 * against what the webhook told us of the volumes; whatever is neither (secrets, config maps, /etc/hosts, /proc, /sys,
 * /dev, our own volume) is nobody's state.
 */
import { readFile } from 'node:fs/promises'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { resolvePath } from './resolve-path.ts'

/**
 * `ofImage`: a volume that the image declares (`VOLUME`) and the pod mounts nothing over. `options`: of the file system. `device` and `root`:
 * which file system it is, and which folder of it.
 */
export type Mount = {
  path: string
  device: string
  root: string
  type: string
  readOnly: boolean
  ofImage: boolean
  options: string[]
}

/**
 * The folders that containerd (internal/cri/server/container_create.go, volumeMounts) and Docker make for such volumes. They live and die with
 * the container; CRI-O makes none, and has the folder in the writable layer.
 */
const imageVolume = /\/containers\/[0-9a-f]{64}\/volumes\/[0-9a-f]{64}$|\/volumes\/[0-9a-f]{64}\/_data$/

export type EphemeralRoots = {
  /** Mount points whose content is archived. */
  roots: string[]
  /** Every mount point: the walk of one root never enters another mount. */
  mountPoints: string[]
  /** Mount points of volumes that outlive the pod. */
  external: string[]
  /** The root is an overlay of the kernel: a folder that nobody has written to lies in a lower layer. */
  isOverlay: boolean
  /** And one that renames folders of the image as they are (moved-folders.ts). */
  movesFolders: boolean
  /** Paths below `roots` of which nothing travels but the folder itself. */
  excluded: string[]
}

/** @param mountinfo text of /proc/PID/mountinfo, see proc(5) */
export function parseMounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const fields = left.split(' ')
    const [device = '', root = '', path, options] = fields.slice(2)
    if (path === undefined || options === undefined) continue
    const [type = '', , ofFileSystem = ''] = right.split(' ')
    mounts.push({
      path: unescaped(path),
      device,
      root: unescaped(root),
      type,
      readOnly: options.split(',').includes('ro'),
      ofImage: imageVolume.test(root),
      options: ofFileSystem.split(','),
    })
  }
  return mounts
}

function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** @param movesByDefault what an overlay does whose options say nothing of it */
export function ephemeralRoots(
  mounts: readonly Mount[],
  plan: Pick<ContainerPlan, 'emptyDirs' | 'external' | 'exclude'>,
  movesByDefault = false,
): EphemeralRoots {
  const emptyDirs = plan.emptyDirs.map(withoutTrailingSlash)
  const mine = new Set(['/', '/dev/shm', ...emptyDirs])
  // Of several mounts on one path the last one is seen.
  const last = new Map(mounts.map((mount) => [mount.path, mount]))
  const root = last.get('/')
  return {
    roots: [...last.values()]
      .filter((mount) => (mine.has(mount.path) || mount.ofImage) && !mount.readOnly)
      .map((mount) => mount.path),
    mountPoints: [...last.keys()],
    external: plan.external.map(withoutTrailingSlash).filter((path) => last.has(path)),
    isOverlay: root?.type === 'overlay',
    movesFolders: root?.type === 'overlay' && movesFolders(root, movesByDefault),
    excluded: plan.exclude ?? [],
  }
}

/** The kernel lists what differs from the defaults of its module (fs/overlayfs/params.c, ovl_show_options). */
function movesFolders({ options }: Mount, byDefault: boolean): boolean {
  if (options.includes('redirect_dir=on') || options.includes('metacopy=on')) return true
  return byDefault && !options.some((option) => option.startsWith('redirect_dir='))
}

/** Kubernetes takes `mountPath: /data/`; the kernel lists it as `/data`. */
function withoutTrailingSlash(path: string): string {
  return path.replace(/(?<=.)\/+$/, '')
}

/** The same for a process of the container, with the paths of the plan followed to where they lead. */
export async function readEphemeralRoots(pid: number, plan: ContainerPlan): Promise<EphemeralRoots> {
  const mounts = parseMounts(await readFile(`/proc/${pid}/mountinfo`, 'utf8'))
  const resolve = (paths: readonly string[]) =>
    Promise.all(paths.map((path) => resolvePath(`/proc/${pid}/root`, path)))
  const [emptyDirs, external] = await Promise.all([resolve(plan.emptyDirs), resolve(plan.external)])
  const setting = await readFile('/sys/module/overlay/parameters/redirect_dir', 'latin1').catch(() => '')
  const planned = { emptyDirs, external, exclude: excludedPaths(plan, emptyDirs) }
  return ephemeralRoots(mounts, planned, setting.startsWith('Y'))
}

/** Within its volume a path is taken as it is written: links in there are the application's, and may lead anywhere. */
function excludedPaths({ emptyDirs, exclude = [] }: ContainerPlan, resolved: readonly string[]): string[] {
  const volumes = emptyDirs.map(withoutTrailingSlash)
  return exclude.map((path) => {
    const volume = mountOf(path, volumes)
    return (resolved[volumes.indexOf(volume)] ?? volume) + path.slice(volume.length)
  })
}

/** The mount that holds a path: the longest mount point that is a prefix of it. */
export function mountOf(path: string, mountPoints: readonly string[]): string {
  let best = '/'
  for (const point of mountPoints)
    if (
      (path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`)) &&
      point.length > best.length
    )
      best = point
  return best
}
