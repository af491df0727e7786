/** Autoscalers read pods: injection must not take from them what they found there. Pure. */
import type { ResourceList } from '../src/config.ts'
import { parseQuantityNanos } from '../src/quantity.ts'
import { at } from './json-path.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'

/**
 * The volumes that do not keep the cluster autoscaler from removing a node. It keeps a node with a pod that has local volumes (emptyDir, hostPath)
 * unless this annotation names all of them: with ours, it decides by the owner's as before.
 * https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node
 */
export const safeToEvictAnnotation = 'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes'

/** The owner's value with our names after it. The autoscaler splits it at commas, and cuts no spaces off. */
export function safeToEvictValue(pod: Pod, volumes: readonly string[]): string {
  const own = at(pod.metadata.annotations, safeToEvictAnnotation)
  const listed = typeof own === 'string' && own !== '' ? own.split(',') : []
  return [...listed, ...volumes.filter((name) => !listed.includes(name))].join(',')
}

/** What a sidecar asks for that must ask for something. */
const least = { cpu: '1m', memory: '1Mi' } as const

/**
 * What the sidecar has to request, where nothing else gives it a request. A horizontal autoscaler that scales by utilization adds up the requests of
 * all containers and native sidecars of a pod, and gives up when one has none (pkg/controller/podautoscaler/replica_calculator.go,
 * calculatePodRequests). Where another container has none, the autoscaler gives up without us.
 */
export function requestsForScaling(pod: Pod): ResourceList {
  const running = [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')] // prettier-ignore
  const { resources } = pod.spec
  // A pod with resources of its own may have no room: what its containers request together is at most that.
  const names = isRecord(resources) ? (hasRoomForCpu(resources, running) ? ['cpu'] as const : []) : (['cpu', 'memory'] as const) // prettier-ignore
  const needed = names.filter((name) => running.every((one) => nanosOf(one, name) > 0n))
  return Object.fromEntries(needed.map((name) => [name, least[name]]))
}

function hasRoomForCpu(ofPod: object, running: readonly Container[]): boolean {
  const most = at(ofPod, 'requests', 'cpu') ?? at(ofPod, 'limits', 'cpu')
  const requested = running.reduce((sum, one) => sum + nanosOf(one, 'cpu'), 0n)
  return most === undefined || requested + nanos(least.cpu) <= nanos(most)
}

/** A request that is left out is the limit. */
function nanosOf({ resources }: Container, name: string): bigint {
  return nanos(at(resources, 'requests', name) ?? at(resources, 'limits', name))
}

function nanos(amount: unknown): bigint {
  return typeof amount === 'string' || typeof amount === 'number'
    ? (parseQuantityNanos(String(amount)) ?? 0n)
    : 0n
}
