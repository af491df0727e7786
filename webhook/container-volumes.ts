/** The consequences of a container's mounts for its checkpoints. */
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
    const kind = kindOfVolume(volumeOf(pod, mount.name))
    const lifetime = Object.hasOwn(lifetimes, kind) ? lifetimes[kind] : 'outlives-pod'
    if (lifetime === 'with-pod') emptyDirs.push(mount.mountPath)
    else if (lifetime === 'outlives-pod') external.push(mount.mountPath)
  }
  return { emptyDirs, external }
}

export function volumeOf(pod: Pod, called: string): Volume | undefined {
  return pod.spec.volumes?.find(({ name }) => name === called)
}
