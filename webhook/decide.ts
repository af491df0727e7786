/** Whether a pod is protected, and how: a value of its own, apart from the patch that carries it out. Pure. */
import { readOptIn, readWishes, type Wishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import { defaultStore } from '../src/config-stores.ts'
import { triggerNames, type ContainerPlan, type PodPlan } from '../src/pod-plan.ts'
import { parseQuantityBytes } from '../src/quantity.ts'
import { writableMounts } from './container-volumes.ts'
import { fingerprintOf } from './fingerprint.ts'
import { storeMountPath } from './image-paths.ts'
import { isInjected } from './injected.ts'
import { containerObstacles, podObstacles, type Obstacle } from './obstacles.ts'
import { podLineage } from './pod-lineage.ts'
import type { Container, Pod } from './pod.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'

/** Who sent the pod here: the entry for annotated pods, or the one for namespaces with the label. */
export type OptedInBy = 'pod' | 'namespace'

export type Decision =
  | { outcome: 'inject'; plan: PodPlan; warnings: string[] }
  | { outcome: 'skip'; reasons: SkipReason[]; warnings: string[] }
  | { outcome: 'refuse'; reasons: SkipReason[]; problems: string[] }

const systemNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease'])
const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container'

/** @param namespace the admission request's; a pod's own may be missing */
export function decide(pod: Pod, namespace: string, optedInBy: OptedInBy, config: Config): Decision {
  const annotations = pod.metadata.annotations ?? {}
  const quiet = quietReason(pod, namespace, config) ?? notWanted(annotations, optedInBy)
  if (quiet !== undefined) return { outcome: 'skip', reasons: [quiet], warnings: [] }

  const { wishes, problems, unknown } = readWishes(annotations)
  const { containers, missing } = chooseContainers(pod, wishes)
  const store = wishes.store ?? defaultStore
  if (!config.stores.has(store))
    problems.push(`reprieve.dev/store is "${store}"; accepted: ${[...config.stores.keys()].join(', ')}`)
  if (missing.length > 0)
    problems.push(
      `reprieve.dev/containers names ${missing.join(', ')}; accepted: ${pod.spec.containers.map(({ name }) => name).join(', ')}`,
    )
  problems.push(...growthProblems(containers, wishes))
  const lineage = podLineage(pod, namespace, wishes.key)
  const obstacles: Obstacle[] = [
    ...problems.map((text): Obstacle => ({ reason: 'annotations-invalid', text })),
    ...podObstacles(pod),
    ...containers.flatMap(containerObstacles),
    ...(lineage.known ? [] : [{ reason: 'lineage-unknown', text: lineage.why } satisfies Obstacle]),
  ]
  if (obstacles.length > 0 || !lineage.known)
    return unprotected(obstacles, readOptIn(annotations) !== 'unsaid')

  const warnings = unknown.map(
    (name) => `${name} is not an annotation of this version of Reprieve; it has no effect`,
  )
  if (lineage.shared !== undefined) warnings.push(lineage.shared)
  const plan: PodPlan = {
    version: 1,
    namespace,
    lineage: lineage.lineage,
    store: { kind: 'directory', name: store, path: storeMountPath },
    keep: wishes.keep ?? config.keep,
    restore: wishes.restore ?? 'latest',
    triggers: wishes.triggers ?? [...triggerNames],
    checkpointBudgetMs: config.checkpointBudgetMs,
    statusPort: config.statusPort,
    cloud: config.cloud,
    interval: wishes.interval ?? 'auto',
    meanTimeBetweenFailuresMs: config.meanTimeBetweenFailuresMs,
    containers: containers.map((container) => containerPlan(pod, container)),
  }
  return { outcome: 'inject', plan, warnings }
}

function containerPlan(pod: Pod, container: Container): ContainerPlan {
  const { emptyDirs, external } = writableMounts(pod, container)
  return { name: container.name, fingerprint: fingerprintOf(pod, container), emptyDirs, external }
}

/** Pods that are left alone without a word, whatever they say. */
function quietReason(pod: Pod, namespace: string, config: Config): SkipReason | undefined {
  if (Object.hasOwn(pod.metadata.annotations ?? {}, 'kubernetes.io/config.mirror')) return 'mirror-pod'
  if (systemNamespaces.has(namespace) || namespace === config.namespace) return 'system-pod'
  return isInjected(pod) ? 'already-injected' : undefined
}

function notWanted(annotations: Record<string, string>, optedInBy: OptedInBy): SkipReason | undefined {
  const word = readOptIn(annotations)
  if (word === 'no') return 'opted-out'
  return word === 'unsaid' && optedInBy === 'pod' ? 'not-opted-in' : undefined
}

/** Whoever asked by annotation is told by a refusal; a pod that only its namespace opted in is admitted as it is. */
function unprotected(obstacles: Obstacle[], asked: boolean): Decision {
  const reasons = [...new Set(obstacles.map(({ reason }) => reason))]
  const texts = obstacles.map(({ text }) => text)
  return asked && reasons.some((reason) => skipReasons[reason].whenAsked === 'refuse')
    ? { outcome: 'refuse', reasons, problems: texts }
    : { outcome: 'skip', reasons, warnings: texts.map((text) => `this pod is not protected: ${text}`) }
}

function chooseContainers(pod: Pod, wishes: Wishes): { containers: Container[]; missing: string[] } {
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

/** Growth that ends below where the container begins is a mistake that would only show under memory pressure. */
function growthProblems(containers: Container[], wishes: Wishes): string[] {
  const most = wishes.memoryMaxBytes
  if (most === undefined) return []
  return containers.flatMap(({ name, resources }) => {
    const limit = resources?.limits?.memory
    const limitBytes = parseQuantityBytes(String(limit ?? ''))
    return limitBytes !== undefined && limitBytes > most
      ? [
          `reprieve.dev/memory-max is below the memory limit of container ${name}; accepted: at least ${String(limit)}`,
        ]
      : []
  })
}
