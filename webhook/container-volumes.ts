/** The consequences of a container's mounts for its checkpoints. */
import { posix } from 'node:path'
import type { Container, Pod, Volume } from './pod.ts'

/** The fate of a volume's contents when the pod is gone. */
type Lifetime = 'with-pod' | 'outlives-pod' | 'made-anew'

/**
 * By the kind of the volume's source. Secrets, config maps, projected, image and inline CSI volumes are made anew for
 * the next pod from the state of the cluster then. A kind that is not listed is storage of its own and outlives the pod.
 */
const lifetimes: Readonly<Record<string, Lifetime>> = {
  emptyDir: 'with-pod',
  // A claim, of any size, which the cluster deletes with its pod: nothing of it is archived.
  ephemeral: 'outlives-pod',
  gitRepo: 'with-pod',
  configMap: 'made-anew',
  secret: 'made-anew',
  projected: 'made-anew',
  downwardAPI: 'made-anew',
  image: 'made-anew',
  csi: 'made-anew',
}

/** The name of the volume's source field, for example `emptyDir`. */
export function kindOfVolume(volume: Volume | undefined): string {
  if (volume === undefined) return 'unknown'
  return (
    Object.keys(volume).find(
      (field) => field !== 'name' && volume[field] !== null && volume[field] !== undefined,
    ) ?? 'emptyDir'
  )
}

/**
 * Mounts that the container may write to: archived with a checkpoint, or compared before a restore. Through a read-only
 * mount the application changed nothing, and nothing could be put back.
 */
export function writableMounts(pod: Pod, container: Container): { emptyDirs: string[]; external: string[] } {
  const emptyDirs: string[] = []
  const external: string[] = []
  for (const mount of container.volumeMounts ?? []) {
    if (mount.readOnly === true) continue
    const kind = kindOfVolume(volumeOf(pod, mount))
    const lifetime = Object.hasOwn(lifetimes, kind) ? lifetimes[kind] : 'outlives-pod'
    if (lifetime === 'with-pod') emptyDirs.push(mount.mountPath)
    else if (lifetime === 'outlives-pod') external.push(mount.mountPath)
  }
  return { emptyDirs, external }
}

/** Kinds of volumes that live and die with the pod, archived or not. */
const ofPod: ReadonlySet<string> = new Set(['emptyDir', 'ephemeral', 'gitRepo'])

/**
 * What is wrong with the paths that the owner excludes (`reprieve.dev/exclude`): each has to lie in a volume of a protected container that lives and
 * dies with the pod.
 */
export function exclusionProblems(
  pod: Pod,
  containers: readonly Container[],
  exclude: readonly string[] = [],
): string[] {
  const mounted = containers.flatMap((container) =>
    (container.volumeMounts ?? [])
      .filter(({ name }) => ofPod.has(kindOfVolume(volumeOf(pod, { name }))))
      .map(({ mountPath }) => mountPath),
  )
  const outside = exclude.filter((path) => !mounted.some((mountPath) => isWithin(path, mountPath)))
  if (outside.length === 0) return []
  const where = mounted.length === 0 ? 'there are none' : [...new Set(mounted)].join(', ')
  return [
    `reprieve.dev/exclude names ${outside.join(', ')}; accepted: paths in the emptyDir and ephemeral volumes of the protected containers: ${where}`,
  ]
}

/** Of the paths that the owner excludes, those that lie in one of the mounts. */
export function excludedWithin(mountPaths: readonly string[], exclude: readonly string[] = []): string[] {
  return exclude.filter((path) => mountPaths.some((mountPath) => isWithin(path, mountPath)))
}

function isWithin(path: string, mountPath: string): boolean {
  const folder = posix.resolve('/', mountPath)
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)
}

/** By its list: a search for each of ten thousand mounts among as many volumes takes seconds. */
const volumesByName = new WeakMap<readonly Volume[], Map<unknown, Volume>>()

export function volumeOf(pod: Pod, mount: { name: unknown }): Volume | undefined {
  const { volumes } = pod.spec
  if (!volumes) return undefined
  let byName = volumesByName.get(volumes)
  if (byName === undefined) {
    // Of several of one name the first one counts.
    byName = new Map(volumes.toReversed().map((volume) => [volume.name, volume]))
    volumesByName.set(volumes, byName)
  }
  return byName.get(mount.name)
}
