import type { Wishes } from '../src/annotations.ts'
import type { Container, Pod } from './pod.ts'

const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container'

/** The containers that are to be protected: those named, else the default container, else the first. */
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
  const chosen = all.find(({ name }) => name === preferred) ?? all[0]
  return { containers: chosen === undefined ? [] : [chosen], missing: [] }
}
