/** Whether Reprieve is in a pod already, as it is when a webhook is asked a second time about one pod. */
import { injectedLabel, readWishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import { defaultStore } from '../src/config.ts'
import { parsePodPlan, planVariable, type PodPlan } from '../src/pod-plan.ts'
import { imagePaths, injectedNames } from './image-paths.ts'
import { at, listAt } from './json-path.ts'
import { podLineage } from './pod-lineage.ts'
import type { Container, Pod } from './pod.ts'

const names: ReadonlySet<string> = new Set([injectedNames.restoreContainer, injectedNames.sidecarContainer])

/**
 * By the label and both containers. The label alone is what anyone can write by mistake, and must not leave a pod unprotected.
 */
export function looksInjected(pod: Pod): boolean {
  const labels = pod.metadata.labels ?? {}
  const isLabelled = Object.hasOwn(labels, injectedLabel) && labels[injectedLabel] === 'true'
  return isLabelled && ourContainers(pod).length === 2
}

/**
 * And by what these say: they run our program, with the plan of this very pod. A copy of a protected pod, or a pod that only pretends, has
 * another's plan, and with it another's checkpoints. Another version of this webhook may have written the rest otherwise: such a pod
 * is left as it is. Whether it may be created the guard says, which compares everything (guard/genuine.ts).
 */
export function isInjected(pod: Pod, namespace: string, config: Config): boolean {
  if (!looksInjected(pod)) return false
  const { wishes } = readWishes(pod.metadata.annotations ?? {})
  const lineage = podLineage(pod, namespace, wishes.key)
  const store = wishes.store ?? defaultStore
  return (
    lineage.known &&
    config.stores.has(store) &&
    ourContainers(pod).every((container) => {
      const plan = planOf(container)
      return (
        runsOurs(container) &&
        at(plan, 'namespace') === namespace &&
        at(plan, 'lineage') === lineage.lineage &&
        at(plan, 'store', 'name') === store
      )
    })
  )
}

export function isOurs({ name }: Container): boolean {
  return names.has(name)
}

export function ourContainers(pod: Pod): Container[] {
  return (pod.spec.initContainers ?? []).filter(isOurs)
}

function runsOurs({ name, command }: Container): boolean {
  const program = name === injectedNames.sidecarContainer ? imagePaths.sidecarMain : imagePaths.restoreMain
  return command?.[0] === imagePaths.launcher && command.at(-1) === program
}

/** The plan's JSON; undefined where it was given in another way than ours. */
function planTextOf(container: unknown): string | undefined {
  const [variable, ...more] = listAt(at(container, 'env')).filter((one) => at(one, 'name') === planVariable)
  const value = at(variable, 'value')
  return typeof value !== 'string' || more.length > 0 ? undefined : value.replaceAll('$$', () => '$')
}

/** The one plan of both containers; undefined where they differ, or this version cannot read it. */
export function injectedPlan(pod: Pod): PodPlan | undefined {
  const [text, ...others] = ourContainers(pod).map(planTextOf)
  if (text === undefined || others.some((other) => other !== text)) return undefined
  try {
    return parsePodPlan(text)
  } catch {
    return undefined
  }
}

function planOf(container: Container): unknown {
  try {
    return JSON.parse(planTextOf(container) ?? '')
  } catch {
    return undefined
  }
}
