import { injectedLabel } from '../src/annotations.ts'
import { injectedNames } from './image-paths.ts'
import type { Pod } from './pod.ts'

/**
 * Whether Reprieve is in the pod already: the label and both containers. The label alone is what anyone can write by
 * mistake, and must not leave a pod unprotected.
 */
export function isInjected(pod: Pod): boolean {
  const names = new Set((pod.spec.initContainers ?? []).map((container) => container.name))
  const labels = pod.metadata.labels ?? {}
  return (
    Object.hasOwn(labels, injectedLabel) &&
    labels[injectedLabel] === 'true' &&
    names.has(injectedNames.restoreContainer) &&
    names.has(injectedNames.sidecarContainer)
  )
}
