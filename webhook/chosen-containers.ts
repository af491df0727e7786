import type { Wishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import { isHelper } from './helper-containers.ts'
import type { Container, Pod } from './pod.ts'

const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container'

/** `containers` is empty where nothing but helpers is there. `missing`: names of the annotation that no container has. */
export type Chosen = { containers: Container[]; missing: string[] }

/**
 * The containers that are to be protected: those named, else the default container, else the first. A helper is protected only by its name, or
 * where the pod itself asks and has no other container.
 * @param asked the pod asks itself, and not only its namespace
 */
export function chooseContainers(pod: Pod, wishes: Wishes, config: Config, asked: boolean): Chosen {
  const all = pod.spec.containers
  if (wishes.containers !== undefined) {
    const named = wishes.containers
    return {
      containers: all.filter(({ name }) => named.includes(name)),
      missing: named.filter((name) => !all.some((container) => container.name === name)),
    }
  }
  const { annotations, labels } = pod.metadata
  const preferred = Object.hasOwn(annotations ?? {}, defaultContainerAnnotation)
    ? annotations?.[defaultContainerAnnotation]
    : undefined
  const applications = all.filter((container) => !isHelper(container, labels, config))
  const only = asked && all.length === 1 ? all[0] : undefined
  const chosen = applications.find(({ name }) => name === preferred) ?? applications[0] ?? only
  return { containers: chosen === undefined ? [] : [chosen], missing: [] }
}
