import type { Wishes } from '../src/annotations.ts'
import type { Container, Pod } from './pod.ts'

const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container'

/** Injectors that put their proxy before the application; linkerd's does not say which container is the default one. */
const meshProxies: ReadonlySet<string> = new Set(['istio-proxy', 'linkerd-proxy'])

/** The containers that are to be protected: those named, else the default container, else the first that is no mesh's proxy. */
export function chooseContainers(pod: Pod, wishes: Wishes): { containers: Container[]; missing: string[] } {
  const all = pod.spec.containers
  if (wishes.containers !== undefined) {
    const named = wishes.containers
    return {
      containers: all.filter(({ name }) => named.includes(name)),
      missing: named.filter((name) => !all.some((container) => container.name === name)),
    }
  }
  const annotations = pod.metadata.annotations ?? {}
  const preferred = Object.hasOwn(annotations, defaultContainerAnnotation)
    ? annotations[defaultContainerAnnotation]
    : undefined
  const chosen =
    all.find(({ name }) => name === preferred) ?? all.find(({ name }) => !meshProxies.has(name)) ?? all[0]
  return { containers: chosen === undefined ? [] : [chosen], missing: [] }
}
