/** The plan for a container that fills its memory, from the words of the pod's owner and of the administrator. Pure. */
import { defaultMemoryThresholdPercent, type Wishes } from '../src/annotations.ts'
import type { MemoryConfig } from '../src/config.ts'
import type { MemoryPlan } from '../src/pod-plan.ts'
import { parseQuantityBytes } from '../src/quantity.ts'
import type { Container, Pod } from './pod.ts'
import { whyNotReplaced } from './pod-end.ts'
import { podLimitBytes } from './pod-level-memory.ts'
import { isRecord } from './shape.ts'

/** How far a container may grow whose pod and administrator do not say: so many times what it was created with. */
const defaultGrowth = 4

/** `recordsNeeds`: whether a replacement is given what its lineage has recorded that it needs (lineage-records.ts). */
type Settings = MemoryConfig & { recordsNeeds: boolean }

export function memoryPlan(pod: Pod, container: Container, wishes: Wishes, config: Settings): MemoryPlan {
  const { recordsNeeds } = config
  const maxBytes = maxBytesOf(pod, container, wishes, config)
  // Of one that would have no replacement.
  const staysBecause = whyNotReplaced(pod, container, wishes.key)
  return {
    thresholdPercent: wishes.memoryThresholdPercent ?? defaultMemoryThresholdPercent,
    answer: wishes.onMemoryPressure ?? 'grow',
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(config.resizeSocket === undefined ? {} : { resizeSocket: config.resizeSocket }),
    recordsNeeds,
    ...(recordsNeeds && staysBecause !== undefined ? { staysBecause } : {}),
  }
}

/** A container's limit above its pod's would be refused, in place and in a replacement. */
function maxBytesOf(
  pod: Pod,
  container: Container,
  wishes: Wishes,
  config: MemoryConfig,
): number | undefined {
  const limitBytes = memoryLimitOf(container)
  if (limitBytes === undefined) return undefined
  const most = wishes.memoryMaxBytes ?? config.maxBytes ?? limitBytes * defaultGrowth
  return Math.max(limitBytes, Math.min(most, podLimitBytes(pod)))
}

/** Growth that ends below where the container begins is a mistake that would only show under memory pressure. */
export function growthProblems(containers: readonly Container[], wishes: Wishes): string[] {
  const most = wishes.memoryMaxBytes
  if (most === undefined) return []
  return containers.flatMap((container) => {
    const limitBytes = memoryLimitOf(container)
    return limitBytes !== undefined && limitBytes > most
      ? [
          `reprieve.dev/memory-max is below the memory limit of container ${container.name}; accepted: at least ${String(container.resources?.limits?.memory)}`,
        ]
      : []
  })
}

export function podLimitWarnings({ spec: { resources } }: Pod): string[] {
  return isRecord(resources) && isRecord(resources.limits) && resources.limits.memory !== undefined
    ? [
        'the memory limit of the pod as a whole is not watched (spec.resources.limits.memory), only those of its containers',
      ]
    : []
}

/** Asked for, it is better known before the memory is full. */
export function rescheduleWarnings(pod: Pod, containers: readonly Container[], wishes: Wishes): string[] {
  if (wishes.onMemoryPressure !== 'reschedule') return []
  return containers.flatMap((container) => {
    const why = whyNotReplaced(pod, container, wishes.key)
    return why === undefined
      ? []
      : [
          `reprieve.dev/on-memory-pressure is reschedule, and is checkpoint for container ${container.name}: ${why}`,
        ]
  })
}

function memoryLimitOf({ resources }: Container): number | undefined {
  const bytes = parseQuantityBytes(String(resources?.limits?.memory ?? ''))
  return bytes === 0 ? undefined : bytes
}
