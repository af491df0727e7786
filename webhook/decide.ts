/** Whether a pod is protected, and how: a value of its own, apart from the patch that carries it out. Pure. */
import { readOptIn, readWishes, type Wishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import { defaultStore } from '../src/config.ts'
import {
  triggerNames,
  usualMaxFreezeMs,
  usualTtlMs,
  type ContainerPlan,
  type PodPlan,
} from '../src/pod-plan.ts'
import { bounded } from './bounded-texts.ts'
import { chooseContainers } from './chosen-containers.ts'
import { planOfContainer, rulesFor } from './container-plan.ts'
import { exclusionProblems } from './container-volumes.ts'
import { commandsOf, noEntrypoints, type Commands, type Entrypoints } from './entrypoints.ts'
import { spawnerWarnings } from './jupyterhub.ts'
import { storePlan } from './store-place.ts'
import { isInjected } from './injected.ts'
import { containerObstacles, firstProcessObstacles, podObstacles, type Obstacle } from './obstacles.ts'
import { deviceObstacles, hugePageObstacles } from './devices.ts'
import { growthProblems, memoryPlan, podLimitWarnings, rescheduleWarnings } from './memory-plan.ts'
import { whyNeverReplaced } from './never-replaced.ts'
import { ownerWarnings } from './owner-warnings.ts'
import { podLineage } from './pod-lineage.ts'
import { confinementWarnings, platformObstacles } from './platform.ts'
import type { Container, Pod } from './pod.ts'
import { renewalOperations, renewed } from './renewal.ts'
import { runtimeObstacles } from './runtime-class.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'
import { virtualNodeObstacles } from './virtual-node.ts'

/**
 * The webhook entry that the API server used: for annotated pods, for namespaces with the label, or for labelled namespaces whose Pod Security
 * level refuses the sidecar, and with it the pod.
 */
export type OptedInBy = 'pod' | 'namespace' | 'restricted-namespace'

export type Decision =
  /** `commands`: what each protected container runs, by its name. */
  | { outcome: 'inject'; plan: PodPlan; commands: Commands; warnings: string[] }
  | { outcome: 'skip'; reasons: SkipReason[]; warnings: string[] }
  | { outcome: 'refuse'; reasons: SkipReason[]; problems: string[] }

/** They share the process numbers from 10000 to 31000 (sidecar/proc/pid-range.ts): each must have room for a real application. */
const mostProtected = 20

const onlyHelpers: Obstacle = {
  reason: 'only-helpers',
  text: 'every container of the pod is a known proxy or helper: name those to protect in reprieve.dev/containers',
}

const systemNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease'])

/** Where a pod comes from. `namespace` is the admission request's; a pod's own may be missing. */
export type Origin = { namespace: string; optedInBy: OptedInBy }

type Known = {
  /** The entrypoints of the images of `withoutCommand`, as far as they are known. */
  entrypoints?: Entrypoints | undefined
  /** Whether a replacement is given what its lineage has recorded that it needs (LineageRecords). */
  recordsNeeds?: boolean
}

export function decide(
  pod: Pod,
  origin: Origin,
  config: Config,
  { entrypoints = noEntrypoints, recordsNeeds = false }: Known = {},
): Decision {
  const { namespace, optedInBy } = origin
  const annotations = pod.metadata.annotations ?? {}
  const quiet = leftAlone(pod, origin, config)
  const renewal = quiet === 'already-injected' ? renewed(pod, config) : undefined
  if (renewal !== undefined && renewalOperations(pod, renewal).length > 0)
    return { outcome: 'inject', ...renewal, warnings: [] }
  if (quiet !== undefined) return { outcome: 'skip', reasons: [quiet], warnings: [] }
  if (isKeptOut(annotations, optedInBy))
    return unprotected([{ reason: 'pod-security', text: skipReasons['pod-security'].meaning }], false)

  const { wishes, problems, unknown } = readWishes(annotations)
  const asked = readOptIn(annotations) !== 'unsaid'
  const unreplaced = asked ? undefined : whyNeverReplaced(pod, wishes.key)
  if (unreplaced !== undefined) return unprotected([{ reason: 'not-replaced', text: unreplaced }], asked)
  const { containers, missing } = chooseContainers(pod, wishes, config, asked)
  const store = wishes.store ?? defaultStore
  if (!config.stores.has(store))
    problems.push(`reprieve.dev/store is "${store}"; accepted: ${[...config.stores.keys()].join(', ')}`)
  if (missing.length > 0)
    problems.push(
      `reprieve.dev/containers names ${missing.join(', ')}; accepted: ${pod.spec.containers.map(({ name }) => name).join(', ')}`,
    )
  if (containers.length > mostProtected)
    problems.push(
      `reprieve.dev/containers names ${containers.length} containers; accepted: at most ${mostProtected}`,
    )
  problems.push(...growthProblems(containers, wishes), ...exclusionProblems(pod, containers, wishes.exclude))
  const { commands, unknown: unknownCommands } = commandsOf(containers, entrypoints)
  const lineage = podLineage(pod, namespace, wishes.key)
  const obstacles: Obstacle[] = [
    ...problems.map((text): Obstacle => ({ reason: 'annotations-invalid', text })),
    ...podObstacles(pod),
    ...runtimeObstacles(pod, config),
    ...virtualNodeObstacles(pod),
    ...platformObstacles(pod),
    ...containers.flatMap((container) => [
      ...containerObstacles(container),
      ...deviceObstacles(pod, container, config),
      ...hugePageObstacles(pod, container),
    ]),
    ...(containers.length === 0 && missing.length === 0 ? [onlyHelpers] : []),
    ...firstProcessObstacles(pod, commands),
    ...unknownCommands,
    ...(lineage.known ? [] : [{ reason: 'lineage-unknown', text: lineage.why } satisfies Obstacle]),
  ]
  if (obstacles.length > 0 || !lineage.known) return unprotected(obstacles, asked)

  const warnings = unknown.map(
    (name) => `${name} is not an annotation of this version of Reprieve; it has no effect`,
  )
  if (lineage.shared !== undefined) warnings.push(lineage.shared)
  warnings.push(
    ...podLimitWarnings(pod),
    ...rescheduleWarnings(pod, containers, wishes),
    ...ownerWarnings(pod, containers, wishes.key),
    ...spawnerWarnings(pod, containers, rulesFor(wishes, config).withoutEnv),
    ...confinementWarnings(pod, containers),
  )
  const planned = containers.map((container) =>
    planOfContainer(pod, container, {
      command: commands.get(container.name) ?? [],
      wishes,
      memory: memoryPlan(pod, container, wishes, { ...config.memory, recordsNeeds }),
      config,
    }),
  )
  const plan = planFor({ namespace, lineage, wishes, containers: planned }, config)
  return { outcome: 'inject', plan, commands, warnings: bounded(warnings) }
}

type Planned = {
  namespace: string
  lineage: { lineage: string; incarnation?: string | undefined }
  wishes: Wishes
  containers: ContainerPlan[]
}

/** What annotations and configuration make of a plan. */
export function planFor({ namespace, lineage, wishes, containers }: Planned, config: Config): PodPlan {
  return {
    version: 1,
    namespace,
    lineage: lineage.lineage,
    ...(lineage.incarnation === undefined ? {} : { incarnation: lineage.incarnation }),
    store: storePlan(wishes.store ?? defaultStore, namespace, config),
    keep: wishes.keep ?? config.keep,
    ...(isUsual(config.retention) ? {} : { retention: config.retention }),
    restore: wishes.restore ?? 'latest',
    triggers: wishes.triggers ?? [...triggerNames],
    checkpointBudgetMs: config.checkpointBudgetMs,
    restoreBudgetMs: config.restoreBudgetMs,
    ...(config.maxFreezeMs === usualMaxFreezeMs ? {} : { maxFreezeMs: config.maxFreezeMs }),
    statusPort: config.statusPort,
    ...(config.statusHost === '127.0.0.1' ? {} : { statusHost: config.statusHost }),
    cloud: config.cloud,
    interval: wishes.interval ?? 'auto',
    ...(wishes.externalFiles === undefined ? {} : { externalFiles: wishes.externalFiles }),
    meanTimeBetweenFailuresMs: config.meanTimeBetweenFailuresMs,
    nodeEvictionBytes: config.memory.nodeEvictionBytes,
    ...(config.memory.nodeEvictionPercent === undefined ? {} : { nodeEvictionPercent: config.memory.nodeEvictionPercent }), // prettier-ignore
    containers,
  }
}

/** What the sidecars do without being told. */
function isUsual({ ttlMs, namespaceBytes }: Config['retention']): boolean {
  return ttlMs === usualTtlMs && namespaceBytes === undefined
}

/** The containers whose image has to be asked what it runs before anything can be decided. */
export function withoutCommand(pod: Pod, origin: Origin, config: Config): Container[] {
  const annotations = pod.metadata.annotations ?? {}
  if (leftAlone(pod, origin, config) !== undefined || isKeptOut(annotations, origin.optedInBy)) return []
  const { wishes } = readWishes(annotations)
  const asked = readOptIn(annotations) !== 'unsaid'
  if (!asked && whyNeverReplaced(pod, wishes.key) !== undefined) return []
  return chooseContainers(pod, wishes, config, asked).containers.filter(
    ({ command }) => (command ?? []).length === 0,
  )
}

/** Why a pod is left as it is without a word. */
function leftAlone(pod: Pod, { namespace, optedInBy }: Origin, config: Config): SkipReason | undefined {
  return quietReason(pod, namespace, config) ?? notWanted(pod.metadata.annotations ?? {}, optedInBy)
}

/** The cluster's own and Reprieve's: nothing there waits for Reprieve, nor is changed or kept out by it. */
export function isSystemNamespace(namespace: string, config: Config): boolean {
  return systemNamespaces.has(namespace) || namespace === config.namespace
}

/** Reasons that hold whatever the annotations of the pod say. */
function quietReason(pod: Pod, namespace: string, config: Config): SkipReason | undefined {
  if (Object.hasOwn(pod.metadata.annotations ?? {}, 'kubernetes.io/config.mirror')) return 'mirror-pod'
  if (isSystemNamespace(namespace, config)) return 'system-pod'
  return isInjected(pod, namespace, config) ? 'already-injected' : undefined
}

function notWanted(annotations: Record<string, string>, optedInBy: OptedInBy): SkipReason | undefined {
  const word = readOptIn(annotations)
  if (word === 'no') return 'opted-out'
  return word === 'unsaid' && optedInBy === 'pod' ? 'not-opted-in' : undefined
}

/** A pod that asks itself is not: it is refused by the level, which tells its owner why. */
function isKeptOut(annotations: Record<string, string>, optedInBy: OptedInBy): boolean {
  return optedInBy === 'restricted-namespace' && readOptIn(annotations) === 'unsaid'
}

/**
 * The webhook refuses a pod that asked by annotation, where its owner can fix the problem. It admits a pod that only its namespace opted in
 * as it is.
 */
function unprotected(obstacles: Obstacle[], asked: boolean): Decision {
  const reasons = [...new Set(obstacles.map(({ reason }) => reason))]
  const texts = obstacles.map(({ text }) => text)
  const refusing = reasons.filter((reason) => skipReasons[reason].whenAsked === 'refuse')
  return asked && refusing.length > 0
    ? { outcome: 'refuse', reasons: refusing, problems: bounded(texts) }
    : {
        outcome: 'skip',
        reasons,
        warnings: bounded(texts.map((text) => `this pod is not protected: ${text}`)),
      }
}
