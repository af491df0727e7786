import { hash } from 'node:crypto'
import { kindOfVolume, volumeOf } from './container-volumes.ts'
import type { Container, Pod } from './pod.ts'

/**
 * SHA-256 over what a checkpoint's memory depends on: image, command, arguments, working directory and mounts. Of a
 * mount, where it is and of what kind, not the volume's name, which may be made up anew for every pod
 * (`kube-api-access-x7k2p`).
 *
 * @param command the container's own, or what its image runs
 */
export function fingerprintOf(pod: Pod, container: Container, command: readonly string[]): string {
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
