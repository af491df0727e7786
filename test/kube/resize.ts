/**
 * A patch of the subresource `resize`, by the rules of pkg/registry/core/pod and pkg/apis/core/validation (ValidatePodResize): nothing but the
 * resources of containers may change, and not the QoS class. Containers are merged by their name, as a strategic merge patch merges them.
 */
import { isDeepStrictEqual } from 'node:util'
import { parseQuantityBytes } from '../../src/quantity.ts'
import type { KubeObject } from './objects.ts'

type Resources = { requests?: Record<string, string>; limits?: Record<string, string> }
type Container = { name: string; resources?: Resources; [field: string]: unknown }
type Spec = { containers: Container[]; initContainers?: Container[]; [field: string]: unknown }

export type Resized = { pod: KubeObject; isSame: boolean } | { status: number; problem: string }

export function resizePod(pod: KubeObject, patch: unknown): Resized {
  const wish = patch as { metadata?: { resourceVersion?: string }; spec?: { containers?: Container[] } }
  const version = wish.metadata?.resourceVersion
  if (version !== undefined && version !== pod.metadata.resourceVersion)
    return conflict(
      'the object has been modified; please apply your changes to the latest version and try again',
    )
  const { spec: wanted, ...rest } = wish
  if (Object.keys(rest).some((key) => key !== 'metadata') || Object.keys(wanted ?? {}).some((key) => key !== 'containers')) return forbidden('only cpu and memory resources are mutable') // prettier-ignore
  const spec = structuredClone(pod.spec) as Spec
  for (const one of wanted?.containers ?? []) {
    const container = spec.containers.find(({ name }) => name === one.name)
    if (container === undefined) return forbidden('containers may not be added or removed')
    if (Object.keys(one).some((key) => key !== 'name' && key !== 'resources')) return forbidden('only cpu and memory resources are mutable') // prettier-ignore
    container.resources = {
      requests: { ...container.resources?.requests, ...one.resources?.requests },
      limits: { ...container.resources?.limits, ...one.resources?.limits },
    }
    const { requests, limits } = container.resources
    for (const name of ['cpu', 'memory']) {
      const [request, limit] = [requests?.[name], limits?.[name]].map((text) => text === undefined ? undefined : (parseQuantityBytes(text) ?? Number.NaN)) // prettier-ignore
      if (request !== undefined && limit !== undefined && !(request <= limit))
        return invalid(
          `spec.containers[${one.name}].resources.requests: must be less than or equal to ${name} limit`,
        )
    }
  }
  if (qosOf(spec) !== qosOf(pod.spec as Spec))
    return invalid('Pod QOS Class may not change as a result of resizing')
  if (isDeepStrictEqual(canonical(spec), canonical(pod.spec as Spec))) return { pod, isSame: true }
  const generation = (pod.metadata.generation ?? 1) + 1
  return { pod: { ...pod, metadata: { ...pod.metadata, generation }, spec }, isSame: false }
}

function canonical(spec: Spec): unknown {
  return spec.containers.map(({ name, resources }) => [
    name,
    ...[resources?.requests, resources?.limits].map((all = {}) =>
      Object.entries(all).map(([key, text]) => [key, parseQuantityBytes(text)]).sort(),
    ),
  ]) // prettier-ignore
}

/** component-helpers/resource/qos: of a pod without pod-level resources. */
function qosOf(spec: Spec): string {
  const all = [...(spec.initContainers ?? []), ...spec.containers]
  if (!all.some(has)) return 'BestEffort'
  return all.every(isWhole) ? 'Guaranteed' : 'Burstable'
}

function has({ resources }: Container): boolean {
  return Object.keys({ ...resources?.requests, ...resources?.limits }).length > 0
}

function isWhole({ resources }: Container): boolean {
  return ['cpu', 'memory'].every((name) => {
    const [request, limit] = [resources?.requests?.[name], resources?.limits?.[name]]
    return (
      limit !== undefined &&
      (request === undefined || parseQuantityBytes(request) === parseQuantityBytes(limit))
    )
  })
}

const conflict = (problem: string): Resized => ({ status: 409, problem })
const invalid = (problem: string): Resized => ({ status: 422, problem })
const forbidden = (problem: string): Resized => ({ status: 422, problem: `spec: Forbidden: ${problem}` })
