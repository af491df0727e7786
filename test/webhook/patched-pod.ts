import jsonPatch from 'fast-json-patch'
import { decide, type OptedInBy } from '../../webhook/decide.ts'
import type { Config } from '../../src/config.ts'
import type { PodPlan } from '../../src/pod-plan.ts'
import type { Commands, Entrypoints } from '../../webhook/entrypoints.ts'
import { mutate } from '../../webhook/mutate.ts'
import type { Operation } from '../../webhook/patch-text.ts'
import type { Pod } from '../../webhook/pod.ts'

/** Applied by an implementation of RFC 6902 that is not ours, which checks each operation. */
export function applied(pod: Pod, operations: Operation[]): Pod {
  const copy = structuredClone(pod)
  return jsonPatch.applyPatch(copy, structuredClone(operations) as jsonPatch.Operation[], true).newDocument
}

export type Injection = {
  plan: PodPlan
  commands: Commands
  operations: Operation[]
  text: string
  warnings: string[]
  after: Pod
}

/** @returns undefined for a pod that is not injected */
export function inject(
  pod: Pod,
  config: Config,
  optedInBy: OptedInBy = 'pod',
  namespace = 'ml-team',
  entrypoints?: Entrypoints,
  /** What its lineage has recorded that it needs; where it is given, the webhook is one that knows. */
  needs?: ReadonlyMap<string, number>,
): Injection | undefined {
  const decision = decide(pod, { namespace, optedInBy }, config, {
    entrypoints,
    recordsNeeds: needs !== undefined,
  })
  if (decision.outcome !== 'inject') return undefined
  const { operations, text, warnings } = mutate(pod, decision, config, needs)
  const { plan, commands } = decision
  return { plan, commands, operations, text, warnings, after: applied(pod, operations) }
}

/**
 * The pod without what injection names: to be equal, byte for byte, before and after. What injection may change is
 * taken away here by its name, not by looking at the patch.
 */
export function unnamed(pod: Pod, protectedNames: readonly string[]): unknown {
  const copy = structuredClone(pod)
  const { metadata, spec } = copy
  if (metadata.labels) {
    delete metadata.labels['reprieve.dev/injected']
    if (Object.keys(metadata.labels).length === 0) delete metadata.labels
  }
  dropVolumes(metadata)
  delete spec.shareProcessNamespace
  delete spec.terminationGracePeriodSeconds
  dropNamed(spec, 'volumes', ['reprieve', 'reprieve-staging', 'reprieve-store'])
  dropNamed(spec, 'initContainers', ['reprieve-restore', 'reprieve-sidecar'])
  for (const container of spec.containers) {
    if (!protectedNames.includes(container.name)) continue
    delete container.command
    dropNamed(container, 'volumeMounts', ['reprieve'])
    dropGiven(container)
    if (container.lifecycle) {
      delete container.lifecycle.preStop
      if (Object.keys(container.lifecycle).length === 0) delete container.lifecycle
    }
  }
  return copy
}

const safeToEvict = 'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes'

/** The names of ours among the volumes that the owner declares safe to evict. */
function dropVolumes(metadata: Pod['metadata']): void {
  const { annotations } = metadata
  if (!annotations) return
  const left = (annotations[safeToEvict] ?? '')
    .split(',')
    .filter((name) => name !== '' && !name.startsWith('reprieve'))
  if (left.length > 0) annotations[safeToEvict] = left.join(',')
  else delete annotations[safeToEvict]
  if (Object.keys(annotations).length === 0) delete metadata.annotations
}

/** GODEBUG, and the profile of a container that sets none: which of them were there before is tested for itself. */
function dropGiven(container: Record<string, unknown>): void {
  const { env, securityContext } = container
  if (Array.isArray(env)) {
    const left = (env as { name: unknown }[]).filter(({ name }) => name !== 'GODEBUG')
    if (left.length === 0) delete container.env
    else container.env = left
  }
  if (typeof securityContext !== 'object' || securityContext === null) return
  const { seccompProfile: _, ...rest } = securityContext as Record<string, unknown>
  if (Object.keys(rest).length === 0) delete container.securityContext
  else container.securityContext = rest
}

function dropNamed<K extends string>(
  owner: { [P in K]?: { name: string }[] | null | undefined },
  field: K,
  names: readonly string[],
): void {
  const left = (owner[field] ?? []).filter(({ name }) => !names.includes(name))
  if (left.length === 0) delete owner[field]
  else owner[field] = left
}
