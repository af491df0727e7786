/** The plan of one protected container, as far as it follows from the container itself. */
import type { Config } from '../src/config.ts'
import type { ContainerPlan, MemoryPlan } from '../src/pod-plan.ts'
import { excludedWithin, writableMounts } from './container-volumes.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { Container, Pod } from './pod.ts'

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
  { command, exclude, memory }: PlanInput,
): ContainerPlan {
  const { emptyDirs, external } = writableMounts(pod, container)
  const fingerprint = fingerprintOf(pod, container, command)
  const excluded = excludedWithin(emptyDirs, exclude)
  return {
    name: container.name,
    fingerprint,
    emptyDirs,
    external,
    ...(excluded.length === 0 ? {} : { exclude: excluded }),
    memory,
  }
}
