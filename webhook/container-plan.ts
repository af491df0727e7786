/** The plan of one protected container, as far as it follows from the container itself. */
import type { Wishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import type { ContainerPlan, MemoryPlan } from '../src/pod-plan.ts'
import { excludedWithin, writableMounts } from './container-volumes.ts'
import { earlierFingerprintOf } from './earlier-fingerprint.ts'
import { fingerprintOf, type FingerprintRules } from './fingerprint.ts'
import { at } from './json-path.ts'
import type { Container, Pod } from './pod.ts'
import { restartedByResize } from './resize-policy.ts'
import { isRecord } from './shape.ts'

export type PlanInput = {
  /** What the container runs: its own command, or that of its image. */
  command: readonly string[]
  wishes: Pick<Wishes, 'exclude' | 'withoutEnv'>
  memory: MemoryPlan
  config: Config
}

export function planOfContainer(
  pod: Pod,
  container: Container,
  { command, wishes, memory, config }: PlanInput,
): ContainerPlan {
  const { emptyDirs, external } = writableMounts(pod, container)
  const { fingerprint, parts } = fingerprintOf(pod, container, command, rulesFor(wishes, config))
  const excluded = excludedWithin(emptyDirs, wishes.exclude)
  return {
    name: container.name,
    fingerprint,
    parts,
    earlierFingerprint: earlierFingerprintOf(pod, container, command),
    emptyDirs,
    external,
    ...(excluded.length === 0 ? {} : { exclude: excluded }),
    ...(isProbed(container) ? { probed: true } : {}),
    memory,
  }
}

export function rulesFor({ withoutEnv = [] }: Wishes, { fingerprint }: Config): FingerprintRules {
  return { ...fingerprint, withoutEnv: [...fingerprint.withoutEnv, ...withoutEnv] }
}

/** Whether it was most likely a probe that had the container end, where its preStop ran and it starts again in its pod. */
function isProbed(container: Container): boolean {
  const probes = [at(container, 'livenessProbe'), at(container, 'startupProbe')]
  return probes.some(isRecord) && restartedByResize(container).length === 0
}
