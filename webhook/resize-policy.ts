import { at, listAt } from './json-path.ts'
import type { Container } from './pod.ts'

/**
 * The resources whose resize in place restarts the container.
 * https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
 */
export function restartedByResize(container: Container): string[] {
  return listAt(at(container, 'resizePolicy'))
    .filter((policy) => at(policy, 'restartPolicy') === 'RestartContainer')
    .map((policy) => String(at(policy, 'resourceName')))
}
