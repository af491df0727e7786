/** What about a pod keeps it from being protected: every obstacle, not only the first. */
import { posix } from 'node:path'
import { volumeRoot } from '../src/volume.ts'
import { reservedNamePrefix } from './image-paths.ts'
import type { Container, Pod } from './pod.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'

export type Obstacle = { reason: SkipReason; text: string }

export function podObstacles(pod: Pod): Obstacle[] {
  const spec = pod.spec
  const found: Obstacle[] = []
  const add = (present: boolean, reason: SkipReason) => {
    if (present) found.push({ reason, text: skipReasons[reason].meaning })
  }
  add(spec.hostNetwork === true, 'host-network')
  add(spec.hostPID === true, 'host-pid')
  add(spec.hostIPC === true, 'host-ipc')
  add(spec.hostUsers === false, 'host-users-off')
  add(spec.shareProcessNamespace === false, 'process-sharing-refused')
  add(spec.os?.name === 'windows' || ownText(spec.nodeSelector, 'kubernetes.io/os') === 'windows', 'windows')
  return [...found, ...nameConflicts(pod)]
}

export function containerObstacles(container: Container): Obstacle[] {
  const found: Obstacle[] = []
  if (container.tty === true)
    found.push({
      reason: 'tty',
      text: `container ${container.name} has tty: true; a terminal cannot be restored`,
    })
  if ((container.command ?? []).length === 0)
    found.push({
      reason: 'entrypoint-unknown',
      text: `container ${container.name} gives no command; write its image's entrypoint as the container's command`,
    })
  return found
}

function nameConflicts(pod: Pod): Obstacle[] {
  const found: Obstacle[] = []
  for (const volume of pod.spec.volumes ?? [])
    if (volume.name.startsWith(reservedNamePrefix))
      found.push({
        reason: 'mount-conflict',
        text: `volume ${volume.name} takes a name that is reserved for Reprieve`,
      })
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    if (container.name.startsWith(reservedNamePrefix))
      found.push({
        reason: 'container-conflict',
        text: `container ${container.name} takes a name that is reserved for Reprieve`,
      })
    for (const mount of container.volumeMounts ?? [])
      if (isReservedPath(mount.mountPath))
        found.push({
          reason: 'mount-conflict',
          text: `container ${container.name} mounts ${mount.mountPath}, which is reserved for Reprieve`,
        })
  }
  return found
}

/** The kubelet takes a relative mount path from the root, and does not mind doubled or trailing slashes. */
function isReservedPath(mountPath: string): boolean {
  const path = posix.resolve('/', mountPath)
  return path === volumeRoot || path.startsWith(`${volumeRoot}/`)
}

function ownText(map: Record<string, string> | null | undefined, key: string): string | undefined {
  return map !== null && map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined
}
