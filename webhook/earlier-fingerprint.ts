import { hash } from 'node:crypto'
import { kindOfVolume, volumeOf } from './container-volumes.ts'
import type { Container, Pod } from './pod.ts'

/**
 * The fingerprint of the releases before 0.3: image, command, arguments, working directory and mounts. A checkpoint that such a release took
 * is compared by it, so that an upgrade of Reprieve keeps the checkpoints of work that did not change.
 *
 * @param command the container's own, or what its image runs
 */
export function earlierFingerprintOf(pod: Pod, container: Container, command: readonly string[]): string {
  const mounts = (container.volumeMounts ?? [])
    .map((mount) => ({
      kind: kindOfVolume(volumeOf(pod, mount)),
      mountPath: mount.mountPath,
      readOnly: mount.readOnly ?? false,
      subPath: mount.subPath ?? '',
    }))
    .sort((a, b) => (a.mountPath < b.mountPath ? -1 : 1))
  // Fields in alphabetical order and nothing optional: the same pod gives the same bytes.
  const canonical = JSON.stringify({
    args: container.args ?? [],
    command,
    image: container.image ?? '',
    mounts,
    workingDir: container.workingDir ?? '',
  })
  return hash('sha256', canonical, 'hex')
}
