/** Whether the files of a container that stay as they are fit a checkpoint. */
import type { CheckpointManifest } from '../../src/manifest.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { requireFitFiles, type ExternalPlace } from '../files/external-files.ts'
import type { Growth } from '../files/file-tails.ts'
import { readEphemeralRoots } from '../files/mounts.ts'
import { startByClockOf } from '../proc/process-tree.ts'
import type { Surroundings } from '../setup/surroundings.ts'

export type RestoreTarget = { plan: ContainerPlan; launcherPid: number }

/**
 * @returns the files of which a tail is to be cut off
 * @throws ReprieveError `unfit-files`
 */
export async function requireFitExternalFiles(
  around: Surroundings,
  target: RestoreTarget,
  { externalFiles }: CheckpointManifest,
): Promise<Growth[]> {
  if (externalFiles.length === 0) return []
  return requireFitFiles(await externalPlaceOf(target), externalFiles, around.podPlan.externalFiles ?? 'safe')
}

export async function externalPlaceOf({ plan, launcherPid: pid }: RestoreTarget): Promise<ExternalPlace> {
  const { mountPoints, external } = await readEphemeralRoots(pid, plan)
  return { pid, mountPoints, external, sinceMs: await startByClockOf(pid) }
}
