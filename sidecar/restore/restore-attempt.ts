/**
 * One attempt to bring a fetched checkpoint back to life in a container whose launcher waits. An attempt that fails leaves
 * the container as it was.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { ReprieveError } from '../../src/errors.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'
import { requireOwnCredentials } from '../rights/credentials.ts'
import type { HookAnswer } from '../criu/hook-channel.ts'
import { stopComparing, type Comparison } from '../criu/regular-files.ts'
import { restore } from '../criu/restore.ts'
import { cutTails, putBackTails, type Cut } from '../files/file-tails.ts'
import { mountOf, readEphemeralRoots, type EphemeralRoots } from '../files/mounts.ts'
import { firstStartOf } from '../files/fresh-files.ts'
import { undoUnpack, unpackEphemeral } from '../files/unpack.ts'
import { lostAttributes, putBackAffinity, readInventory } from './as-before.ts'
import { inTurn, sharedRestore } from './shared-volumes.ts'
import { settleNote } from '../volumes/volume-note.ts'
import { requireFitExternalFiles, type RestoreTarget } from './fit-files.ts'
import { fitDatabases } from './fit-databases.ts'
import { fitToPod } from './fit-to-pod.ts'
import { putBackLocks } from './put-back-locks.ts'
import { markRestore } from './restore-mark.ts'
import { awaitFreeNumbers, lostNumber, numbersPatienceMs } from './free-numbers.ts'
import { isAlive, killAll, treeInContainer, treeOf } from '../proc/process-tree.ts'
import type { Surroundings } from '../setup/surroundings.ts'

export type Restored = {
  manifest: CheckpointManifest
  root: number
  supervisor: number
  statusFile: string
  phases: Record<string, number>
  /** Attributes of processes and threads that are not as they were. */
  lost: string[]
}

/** How long CRIU may take beyond the data: it reads about 1 GiB/s from the page cache; 100 MB/s is a slow disk. */
// @deadline CRIU hangs in a restore | The next older checkpoint; 1 s more for each 100 MB
const restoreBaseMs = 60_000
const slowBytesPerMs = 100_000
/** For each of its steps: putting back some 10 GiB on a slow disk. In a fresh container there is little to put back. */
const earlierUndoMs = 120_000

/** Asks the waiting launcher to watch over the restored tree; resolves true when it said so. The tree stands still until then. */
export type Adopt = (root: number, supervisor: number, statusFile: string) => Promise<boolean>

type AttemptOptions = { adopt: Adopt; signal: AbortSignal; patienceMs?: number }

/** A number that a neighbour took while CRIU restored is mostly free again at once. */
const tries = 3

/**
 * @param fetched the checkpoint, and the folder that its files lie in
 * @throws ReprieveError `restore-failed`, `numbers-taken`, `adoption-late`, `unfit-credentials` or `unfit-files`
 */
export async function attemptRestore(
  around: Surroundings,
  target: RestoreTarget,
  fetched: { manifest: CheckpointManifest; folder: string },
  options: AttemptOptions,
): Promise<Restored> {
  for (let count = 1; ; count++) {
    try {
      const { signal } = options
      const attempt = () => attemptOnce(around, target, fetched, options)
      const { folder, manifest } = fetched
      return await inTurn(around, target, { folder, bytes: manifest.totalBytes, signal }, attempt)
    } catch (error) {
      if (options.signal.aborted || !lostNumber(error)) throw error
      if (count === tries)
        throw new ReprieveError(
          'numbers-taken',
          'CRIU did not get the processes that it needs: a neighbour took their numbers',
          {},
          error,
        )
      around.log.warn(
        { event: 'restore.number_lost', err: error, container: target.plan.name },
        'CRIU did not get the processes that it needs, since a neighbour took a number: trying again',
      )
    }
  }
}

async function attemptOnce(
  around: Surroundings,
  target: RestoreTarget,
  fetched: { manifest: CheckpointManifest; folder: string },
  { adopt, signal, patienceMs = numbersPatienceMs }: AttemptOptions,
): Promise<Restored> {
  const { manifest, folder } = fetched
  const { plan, launcherPid } = target
  const log = around.log.child({ container: plan.name, checkpoint: manifest.id })
  const deadlineMs = Math.ceil(restoreBaseMs + manifest.totalBytes / slowBytesPerMs)
  const unpack = { pid: launcherPid, folder, deadlineMs, signal, log }
  const root = manifest.process.rootPid
  const began = performance.now()
  const work = `${folder}.work`
  const runFolder = `${volumePaths.run}/${plan.name}`
  const statusFile = `${runFolder}/exit-${manifest.id}-${Date.now()}`
  // Before anything is done, so that nothing is taken back: the process that has the root's number is somebody else's.
  await awaitFreeNumbers(manifest.process.pids, patienceMs, signal)
  signal.throwIfAborted()
  await requireOwnCredentials(`${folder}/criu`, { launcherPid, had: manifest.process.filters }, log)
  await requireFitExternalFiles(around, target, manifest)
  const shared = await sharedRestore(around, target, fetched, unpack)
  await shared.requireFit()
  const cuts: Cut[] = []
  let cutting: Promise<void> = Promise.resolve()
  let adopted = false
  let failure: unknown
  let locks: string[] = []
  try {
    await mkdir(work, { recursive: true, mode: 0o700 })
    const held = async () => shared.held
    const firstStart = () => firstStartOf(runFolder)
    const unpacked = await unpackEphemeral({ ...unpack, held, firstStart }, shared.names)
    signal.throwIfAborted()
    await shared.note()
    const roots = await readEphemeralRoots(launcherPid, plan)
    await fitToPod(folder, { pid: launcherPid, ...roots }, log)
    const compared = comparisonIn(roots)
    await stopComparing(`${folder}/criu`, (path) => (shared.isJudged(path) ? 'nothing' : compared(path)))
    await markRestore(runFolder, manifest.id, log)
    const onRestored = async (supervisor: number): Promise<HookAnswer> => {
      // Where the kernel takes no numbers from CRIU (before Linux 5.5), CRIU has set the last one to its own.
      await around.numbers.moveOn()
      if (inventory) locks = await putBackLocks(inventory, { root, launcherPid }, log)
      await fitDatabases(`${folder}/criu`, { root, launcherPid }, signal, log)
      try {
        // Only now, when nothing but the launcher's word is missing: whatever fails before has touched no file.
        const grown = [
          ...(await requireFitExternalFiles(around, target, manifest)),
          ...(await shared.requireFit()),
        ]
        signal.throwIfAborted()
        cutting = cutTails(launcherPid, grown, cuts, { checkpointId: manifest.id, signal })
        await cutting
        signal.throwIfAborted()
      } catch (error) {
        failure = error
        return 'abort'
      }
      if (inventory) await putBackAffinity(inventory, root, log).catch(() => undefined)
      adopted = await adopt(root, supervisor, statusFile)
      if (!adopted) {
        failure = new ReprieveError(
          'adoption-late',
          'the launcher did not take over the restored application',
        )
        return 'abort'
      }
      // From here on the application may write.
      await settleNote(plan.name).catch((err: unknown) =>
        log.warn(
          { event: 'files.volumes_not_noted', err },
          'the volumes that the application begins on could not be noted',
        ),
      )
      for (const { path, tail, cutBytes } of cuts)
        log.warn(
          { event: 'restore.tail_moved', path, tail, cutBytes },
          'a file on an external volume had grown: its tail was moved beside it',
        )
      return 'go'
    }
    const inventory = await readInventory(folder)
    // CRIU itself, too, must get numbers that it does not need for the tree.
    await around.numbers.moveOn()
    const { supervisor, ms } = await restore({
      launcherPid,
      root,
      stdio: manifest.process.stdio,
      imagesFolder: `${folder}/criu`,
      workFolder: work,
      statusFile,
      restored: onRestored,
      deadlineMs,
      signal,
      log,
    })
    const phases = {
      unpackMs: Math.round(unpacked.ms),
      criuMs: Math.round(ms),
      totalMs: Math.round(performance.now() - began),
    }
    // It runs: whatever fails from here on is no failure of its restore.
    const lost = inventory ? await lostAttributes(inventory, launcherPid, root).catch(() => []) : []
    return { manifest, root, supervisor, statusFile, phases, lost: [...locks, ...lost] }
  } catch (caught) {
    const error: unknown = failure ?? caught
    await takeBack(around, target, manifest, unpack)
    // CRIU may have ended meanwhile: what is being cut has to be known before it is put back.
    await cutting.catch(() => undefined)
    // An application that was adopted may have written behind the end again.
    if (!adopted)
      for (const err of await putBackTails(target.launcherPid, cuts))
        log.error(
          { event: 'restore.tail_kept', err },
          'the tail of a file on an external volume was not put back',
        )
    throw error instanceof ReprieveError
      ? error
      : new ReprieveError('restore-failed', 'the restore failed', {}, error)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Files on lasting volumes were judged; those of other mounts are made anew with each pod, or written to by others. */
function comparisonIn({ roots, mountPoints, external }: EphemeralRoots): (path: string) => Comparison {
  return (path) => {
    const mount = mountOf(path, mountPoints)
    return roots.includes(mount) ? 'all' : external.includes(mount) ? 'nothing' : 'programs'
  }
}

/** What is left of an attempt would be in the way of the next: processes, then files. */
async function takeBack(
  around: Surroundings,
  target: RestoreTarget,
  manifest: CheckpointManifest,
  unpack: Parameters<typeof undoUnpack>[0],
): Promise<void> {
  try {
    // What the launcher started when it lost patience is its own; what CRIU restored is never its child.
    const own = new Set(await treeOf(target.launcherPid))
    const restored = await treeInContainer(manifest.process.rootPid, target.launcherPid)
    const tree = restored.filter((pid) => !own.has(pid))
    await killAll(await withoutPod(tree, target.launcherPid), 5_000)
    await undoUnpack({ ...unpack, signal: AbortSignal.timeout(unpack.deadlineMs) })
  } catch (error) {
    around.log.error(
      { event: 'restore.undo_failed', err: error, container: target.plan.name },
      'a failed restore was not taken back whole',
    )
  }
}

async function withoutPod(pids: number[], launcherPid: number): Promise<number[]> {
  return pids.includes(launcherPid) || pids.includes(process.pid) || pids.includes(1) ? [] : pids
}

/**
 * An earlier life of this sidecar that died in an attempt has left the files of it in the container as well, and what is needed to take
 * them back beside the checkpoint's. To be called when its processes are gone, and before the container is looked at.
 */
export async function takeBackEarlier(
  around: Surroundings,
  { plan, launcherPid: pid }: RestoreTarget,
  signal: AbortSignal,
): Promise<void> {
  const log = around.log.child({ container: plan.name })
  const staging = `${volumePaths.staging}/${plan.name}`
  for (const name of await readdir(staging).catch(() => [])) {
    if (!name.endsWith('.fetched')) continue
    try {
      const undo = { pid, folder: `${staging}/${name}`, deadlineMs: earlierUndoMs, signal, log }
      if (await undoUnpack(undo))
        log.warn(
          { event: 'restore.earlier_undone', folder: name },
          'half a restore of an earlier sidecar was taken back',
        )
    } catch (error) {
      log.error(
        { event: 'restore.earlier_undo_failed', err: error, folder: name },
        'half a restore of an earlier sidecar was not taken back whole',
      )
    }
  }
}

/** Ends what an earlier life of this sidecar may have left half restored in a container whose launcher still waits. */
export async function clearContainer(launcherPid: number, others: readonly number[]): Promise<void> {
  // A launcher that still waits has no child; one that lost patience has, and that is the running application.
  const own = new Set([launcherPid, ...(await treeOf(launcherPid))])
  const left = await killAll(
    others.filter((pid) => !own.has(pid)),
    5_000,
  )
  const alive = await Promise.all(left.map(isAlive))
  if (alive.some(Boolean))
    throw new ReprieveError('restore-failed', `processes ${left.join(', ')} could not be ended`)
}
