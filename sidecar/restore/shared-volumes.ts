/** The volumes that other containers of the pod use as well, in one attempt of a restore, and at a start from the beginning. */
import { ReprieveError } from '../../src/errors.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { volumePaths } from '../../src/volume.ts'
import { heldPaths } from '../criu/regular-files.ts'
import { requireFitFiles } from '../files/external-files.ts'
import type { Growth } from '../files/file-tails.ts'
import type { FindOptions } from '../files/find.ts'
import type { SharedNames } from '../files/unpack.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { readEphemeralRoots } from '../files/mounts.ts'
import { bytesOf, podVolumes, type PodVolume } from '../volumes/pod-volumes.ts'
import { bringsTo, noteVolumes, planShared, volumesHere } from '../volumes/shared-restore.ts'
import { Turns } from '../volumes/turns.ts'
import { settleNote } from '../volumes/volume-note.ts'
import { externalPlaceOf, type RestoreTarget } from './fit-files.ts'

const turns = new Turns()

/**
 * One container at a time is restored, or begins, on a volume: what it finds there stays so until it runs, or the attempt is undone.
 * @param folder of the checkpoint, if there is one
 */
export async function inTurn<T>(
  { podPlan }: Surroundings,
  { plan, launcherPid: pid }: RestoreTarget,
  { folder, bytes, signal }: { folder?: string; bytes?: number; signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const isAlone = podPlan.containers.length === 1
  // Where they cannot be read, nothing is restored there either: the work says so.
  const volumes = isAlone ? [] : await volumesOf(pid, plan).catch(() => [])
  // The /dev/shm that every container has is of no concern to a restore that brings nothing there.
  const isEmpty = folder !== undefined && !(await bringsTo('/dev/shm', folder))
  const used = volumes.filter(({ isGiven }) => !isGiven || !isEmpty)
  return turns.run({ volumes: used, ...(bytes === undefined ? {} : { bytes }) }, work, signal)
}

async function volumesOf(pid: number, plan: ContainerPlan): Promise<PodVolume[]> {
  return podVolumes(pid, await readEphemeralRoots(pid, plan), plan)
}

/** A walk of a million files takes 2–5 s. */
const noteDeadlineMs = 20_000

export type SharedRestore = {
  names: SharedNames
  /** The paths of all files that the application held, as bytes in latin1. */
  held: ReadonlySet<string>
  /** Whether a file that stays as it is was compared with what was recorded of it. */
  isJudged: (path: string) => boolean
  /**
   * @returns the files of which a tail is to be cut off
   * @throws ReprieveError `unfit-files`
   */
  requireFit: () => Promise<Growth[]>
  /** To be called when the files of the checkpoint lie there. */
  note: () => Promise<void>
}

/** @throws ReprieveError `restore-failed` */
export async function sharedRestore(
  { podPlan }: Surroundings,
  target: RestoreTarget,
  { manifest, folder }: { manifest: CheckpointManifest; folder: string },
  find: FindOptions,
): Promise<SharedRestore> {
  try {
    const held = await heldPaths(`${folder}/criu`)
    const options = { ...find, podPlan, plan: target.plan, createdAt: manifest.createdAt }
    const here = await volumesHere(options)
    const names = await planShared(options, here, held)
    const judged = (manifest.sharedFiles ?? []).filter(({ path }) => names.leave.has(bytesOf(path)))
    const paths = new Set(judged.map(({ path }) => path))
    return {
      names,
      held,
      isJudged: (path) => paths.has(path),
      requireFit: async () => {
        if (judged.length === 0) return []
        const place = { ...(await externalPlaceOf(target)), external: here.roots.roots, isByName: true }
        return requireFitFiles(place, judged, podPlan.externalFiles ?? 'safe')
      },
      note: () => noteVolumes(options, here, names.back),
    }
  } catch (error) {
    throw new ReprieveError('restore-failed', 'the restore failed', {}, error)
  }
}

/**
 * Notes what an application that begins at its beginning finds in the pod's volumes. Never rejects: where it cannot be noted, what the
 * application writes counts as anybody's.
 */
export async function noteFreshStart(
  around: Surroundings,
  target: RestoreTarget,
  signal: AbortSignal,
): Promise<void> {
  const { podPlan, log } = around
  const { plan, launcherPid: pid } = target
  const folder = `${volumePaths.run}/${plan.name}`
  try {
    await inTurn(around, target, { signal }, async () => {
      const options = { pid, podPlan, plan, folder, deadlineMs: noteDeadlineMs, signal, log }
      const here = await volumesHere(options)
      await noteVolumes(options, here)
      await settleNote(plan.name)
    })
  } catch (error) {
    log.warn(
      { event: 'files.volumes_not_noted', err: error, container: plan.name },
      'the volumes that the application begins on could not be noted',
    )
  }
}
