/** How much the files of a checkpoint would take, seen while the application runs. */
import { mkdir, rm } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import { readBaseline } from '../files/baseline.ts'
import { findChanged } from '../files/changed-files.ts'
import { readEphemeralRoots } from '../files/mounts.ts'
import { startOf } from '../proc/process-tree.ts'
import type { Surroundings } from '../setup/surroundings.ts'

// @deadline A container has very many files | A periodic checkpoint begins without an estimate of them
const deadlineMs = 10_000

/** @throws Error where they cannot be looked at in time */
export async function archiveBytes(
  { log }: Surroundings,
  plan: ContainerPlan,
  launcherPid: number,
): Promise<number> {
  const folder = `${volumePaths.staging}/${plan.name}/measuring`
  const signal = AbortSignal.timeout(deadlineMs)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    const listed = await readBaseline(`${volumePaths.run}/${plan.name}`)
    const baseline = listed ?? { instantMs: await startOf(launcherPid), names: undefined }
    const options = { pid: launcherPid, folder, deadlineMs, signal, log }
    return (await findChanged(options, await readEphemeralRoots(launcherPid, plan), baseline)).bytes
  } catch (error) {
    throw new ReprieveError('archive-failed', 'the files could not be measured', {}, error)
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => undefined)
  }
}
