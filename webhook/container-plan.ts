/** The plan of one protected container, as far as it follows from the container itself. */
import type { Config } from '../src/config.ts'
import type { ContainerPlan, MemoryPlan } from '../src/pod-plan.ts'
import { excludedWithin, writableMounts } from './container-volumes.ts'
import { earlierFingerprintOf } from './earlier-fingerprint.ts'
import { fingerprintOf } from './fingerprint.ts'
import { at } from './json-path.ts'
import type { Container, Pod } from './pod.ts'
import { restartedByResize } from './resize-policy.ts'
import { isRecord } from './shape.ts'

export type PlanInput = {
  /** What the container runs: its own command, or that of its image. */
  command: readonly string[]
  /** The paths of `reprieve.dev/exclude`. */
  exclude: readonly string[] | undefined
  memory: MemoryPlan
  config: Config
}

export function planOfContainer(
  pod: Pod,
  container: Container,
  { command, exclude, memory, config }: PlanInput,
): ContainerPlan {
  const { emptyDirs, external } = writableMounts(pod, container)
  const { fingerprint, parts } = fingerprintOf(pod, container, command, config.fingerprint)
  const excluded = excludedWithin(emptyDirs, exclude)
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

/** Whether it was most likely a probe that had the container end, where its preStop ran and it starts again in its pod. */
function isProbed(container: Container): boolean {
  const probes = [at(container, 'livenessProbe'), at(container, 'startupProbe')]
  return probes.some(isRecord) && restartedByResize(container).length === 0
}
