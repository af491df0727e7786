/** Parts of a pod that is protected which work against its checkpoints: its owner learns of them at its creation. Pure. */
import { at } from './json-path.ts'
import { livenessWarnings } from './liveness-patience.ts'
import { notReplacedRemedy, whyNeverReplaced } from './never-replaced.ts'
import type { Container, Pod } from './pod.ts'
import { processOneWarnings } from './process-one.ts'
import { restartedByResize } from './resize-policy.ts'

export function ownerWarnings(pod: Pod, containers: readonly Container[], key: string | undefined): string[] {
  const why = whyNeverReplaced(pod, key)
  return [
    ...(why === undefined ? [] : [`${why}: ${notReplacedRemedy}`]),
    ...cutGraceWarnings(pod),
    ...containers.flatMap((container) => [
      ...livenessWarnings(pod, container),
      ...resizeWarnings(container),
      ...processOneWarnings(container),
    ]),
  ]
}

/** Programs that delete their pods with a grace period of their own, whatever the pod says. */
function cutGraceWarnings({ metadata: { labels } }: Pod): string[] {
  // https://github.com/jupyter-server/enterprise_gateway/blob/main/enterprise_gateway/services/processproxies/k8s.py
  if (at(labels, 'kernel_id') !== undefined)
    return [
      'Jupyter Enterprise Gateway deletes its pods without a grace period, so they have periodic checkpoints only',
    ]
  return []
}

function resizeWarnings(container: Container): string[] {
  const restarting = restartedByResize(container)
  if (restarting.length === 0) return []
  return [
    `container ${container.name}: its resizePolicy for ${restarting.join(' and ')} is RestartContainer: a resize in place restarts it, and it continues from its last checkpoint`,
  ]
}
