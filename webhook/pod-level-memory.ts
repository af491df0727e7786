/**
 * The memory that a pod with resources of its own leaves its containers. The API server refuses a pod with a container's limit above the pod's, or
 * with requests that together are above the pod's (validatePodResourceConsistency, pkg/apis/core/validation/validation.go). Pure.
 * https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2837-pod-level-resource-spec
 */
import { parseQuantityBytes } from '../src/quantity.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'

/** Infinite where the pod has none. */
export function podLimitBytes({ spec: { resources } }: Pod): number {
  const limits = isRecord(resources) && isRecord(resources.limits) ? resources.limits : {}
  return bytesOf(limits.memory) ?? Number.POSITIVE_INFINITY
}

/** By how much the requests may grow, those of all of its containers together. Infinite where the pod has none. */
export function requestRoomBytes(pod: Pod): number {
  const { resources, containers, initContainers } = pod.spec
  const requests = isRecord(resources) && isRecord(resources.requests) ? resources.requests : {}
  // One that is left out becomes what its containers request, and is no more than its limit either.
  const most = bytesOf(requests.memory) ?? podLimitBytes(pod)
  // Those that end before the others begin are counted for themselves.
  const beside = (initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  const requested = [...containers, ...beside].reduce((sum, container) => sum + requestBytes(container), 0)
  return Math.max(0, most - requested)
}

/** One that is left out is the limit. */
function requestBytes({ resources }: Container): number {
  return bytesOf(resources?.requests?.memory) ?? bytesOf(resources?.limits?.memory) ?? 0
}

function bytesOf(quantity: unknown): number | undefined {
  return typeof quantity === 'string' || typeof quantity === 'number'
    ? parseQuantityBytes(String(quantity))
    : undefined
}
