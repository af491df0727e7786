/**
 * The pod's QoS class must stay what its owner made it: a sidecar without limits turns a Guaranteed pod Burstable, one
 * with requests turns a BestEffort pod Burstable.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
 */
import type { ContainerResources, ResourceList } from '../src/config.ts'
import { parseQuantityNanos } from '../src/quantity.ts'
import type { Container, Pod } from './pod.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort' | 'pod-level'

export function qosClassOf(pod: Pod): QosClass {
  // With resources of the pod itself, these make the class, and ours must fit within them: none are asked for.
  if (pod.spec.resources !== undefined && pod.spec.resources !== null) return 'pod-level'
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  if (containers.every(isGuaranteed)) return 'Guaranteed'
  return containers.some((container) => amounts(container).some((amount) => amount > 0n))
    ? 'Burstable'
    : 'BestEffort'
}

/** @param atLeast what is requested in any case, of what `ours` says nothing: in a BestEffort pod nothing is */
export function resourcesFor(
  qos: QosClass,
  ours: ContainerResources,
  atLeast: ResourceList = {},
): { requests?: ResourceList; limits?: ResourceList } {
  switch (qos) {
    case 'Guaranteed':
      return { requests: ours.guaranteed, limits: ours.guaranteed }
    case 'Burstable':
      return { requests: { ...ours.requests, ...without(atLeast, ours) }, limits: ours.limits }
    case 'BestEffort':
      return {}
    case 'pod-level':
      return Object.keys(atLeast).length === 0 ? {} : { requests: atLeast }
  }
}

/** A limit is a request, too, where there is no other. */
function without(list: ResourceList, { requests, limits }: ContainerResources): ResourceList {
  return Object.fromEntries(
    Object.entries(list).filter(([name]) => !Object.hasOwn(requests, name) && !Object.hasOwn(limits, name)),
  )
}

/** A request that is left out is its limit. */
function isGuaranteed({ resources }: Container): boolean {
  return ['cpu', 'memory'].every((name) => {
    const limit = amount(resources?.limits, name)
    return limit > 0n && amount(resources?.requests ?? {}, name, limit) === limit
  })
}

function amounts({ resources }: Container): bigint[] {
  return ['cpu', 'memory'].flatMap((name) => [
    amount(resources?.limits, name),
    amount(resources?.requests, name),
  ])
}

function amount(list: Record<string, unknown> | null | undefined, name: string, absent = 0n): bigint {
  if (list === null || list === undefined || !Object.hasOwn(list, name)) return absent
  return parseQuantityNanos(String(list[name])) ?? 0n
}
