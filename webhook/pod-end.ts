/** Whether a pod ends with one of its containers, and is replaced then: only so does its replacement have more memory. Pure. */
import type { Container, Pod } from './pod.ts'

/**
 * Why the pod would not be replaced if the container ended with an error: the kubelet starts it again in the same pod, with the same limit; or
 * the pod runs on with its other containers; or no controller makes another pod. Undefined where the pod would be replaced.
 * @param key `reprieve.dev/key`: the owner who names the lineage of a pod without a controller makes its replacement as well
 */
export function whyNotReplaced(pod: Pod, container: Container, key: string | undefined): string | undefined {
  const { containers, restartPolicy } = pod.spec
  const policy = container.restartPolicy ?? restartPolicy ?? 'Always'
  if (policy !== 'Never') return `with restartPolicy ${policy} it would be started again in the same pod`
  if ((container.restartPolicyRules ?? []).length > 0)
    return 'its restartPolicyRules may start it again in the same pod'
  if (containers.length > 1) return 'its pod would run on with the other containers'
  const isOwned = (pod.metadata.ownerReferences ?? []).some(({ controller }) => controller === true)
  return isOwned || key !== undefined ? undefined : 'its pod has no controller that would replace it'
}
