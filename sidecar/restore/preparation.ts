/**
 * What happens between a launcher's first word and the application's first instruction: from the newest checkpoint that fits
 * to the oldest, and from nothing when none is left. Nothing here may keep the application from starting.
 */
import { mkdir, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { describeError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import { parseManifest } from '../../src/manifest-codec.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { restoredLife } from '../../src/generation.ts'
import { workOf, type ContainerPlan } from '../../src/pod-plan.ts'
import { chooseCheckpoints, type RestoreChoice } from '../../src/restore-choice.ts'
import { volumePaths } from '../../src/volume.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { newGenerationId, noteLife } from '../lineage/life-note.ts'
import { takeBaseline } from '../files/baseline.ts'
import { noteFirstStart } from '../files/fresh-files.ts'
import { exists } from '../../src/exists.ts'
import { containerProcesses } from '../proc/process-tree.ts'
import {
  attemptRestore,
  clearContainer,
  requireFitExternalFiles,
  takeBackEarlier,
  type Restored,
} from './restore-attempt.ts'
import { endedWith, RestoreNote } from './restore-note.ts'
import { epochFileOf } from '../lineage/epoch-file.ts'
import { SlotLock } from '../lineage/slot-lock.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { installLauncher } from '../setup/tools.ts'
import { namesOf } from '../../src/work.ts'

/** A listing is a few small files; a store that takes longer hangs, and the application must not hang with it. */
// @deadline The store does not list its checkpoints | The application starts from its beginning
const listDeadlineMs = 30_000
/** And a checkpoint that comes slower than 20 MB/s is not worth waiting for. */
// @deadline(baseMs) The store is slow | The next older checkpoint; 1 s more for each 20 MB
const fetchDeadline = { baseMs: 30_000, slowBytesPerMs: 20_000 } as const
/** Making a folder: a store that syncs another checkpoint meanwhile may read in time, but not write. */
// @deadline The store makes no folder for the files to restore | The files are copied to the pod's own volume
const draftDeadlineMs = 2_000

export type Rejected = { id: string; reason: string; detail: string }

type Found = Pick<RestoreChoice, 'candidates' | 'otherWork'> & { rejected: Rejected[] }

export type Prepared =
  | { outcome: 'restored'; restored: Restored; rejected: Rejected[] }
  | { outcome: 'cold'; rejected: Rejected[]; otherWork?: RestoreChoice['otherWork'] }
  /** The launcher adopted the tree, and it is gone again, or was killed with it: the container ends, and there is nothing to start in it. */
  | { outcome: 'ended'; rejected: Rejected[] }

/** Where the checkpoint to restore is put, by the restore init container or by the sidecar. */
export function fetchedFolder(container: string, id: string): string {
  return `${volumePaths.staging}/${container}/${id}.fetched`
}

/**
 * Newest first, the checkpoints that this container may go on from. A store that cannot be read means none: that is said in
 * `rejected`, and the application starts from nothing.
 */
export async function findCandidates(
  around: Surroundings,
  plan: ContainerPlan,
  signal: AbortSignal,
): Promise<Found> {
  if (around.podPlan.restore === 'never') return { candidates: [], rejected: [] }
  const slot = { lineage: around.podPlan.lineage, container: plan.name }
  try {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(listDeadlineMs)])
    const { manifests, unreadable } = await around.store.list(slot, bounded)
    const record = await around.store.readRecord(slot, bounded)
    const here = { ...workOf(around.podPlan, plan), architecture: process.arch }
    const { rejected, ...choice } = chooseCheckpoints(manifests, record, here, around.podPlan.restore)
    const broken = unreadable.map(({ id, reason }) => ({ id, reason: 'checkpoint-corrupt', detail: reason }))
    return { ...choice, rejected: [...broken, ...rejected] }
  } catch (error) {
    return { candidates: [], rejected: [{ id: '*', reason: 'store-failed', detail: describeError(error) }] }
  }
}

/** Fetches and verifies one checkpoint; the folder's name is in the staging volume. @throws ReprieveError `checkpoint-corrupt` or `store-failed` */
export async function fetchCheckpoint(
  around: Surroundings,
  manifest: CheckpointManifest,
  signal: AbortSignal,
): Promise<string> {
  const folder = fetchedFolder(manifest.slot.container, manifest.id)
  await removeFetched(folder)
  await mkdir(`${volumePaths.staging}/${manifest.slot.container}`, { recursive: true, mode: 0o700 })
  const deadlineMs = Math.ceil(fetchDeadline.baseMs + manifest.totalBytes / fetchDeadline.slowBytesPerMs)
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
  // In the store itself the files need only be read and compared, not copied; the name in staging then leads there.
  const draft = await around.store
    .draftFolder(
      manifest.slot,
      `${manifest.id}.fetched`,
      AbortSignal.any([bounded, AbortSignal.timeout(draftDeadlineMs)]),
    )
    .catch((error: unknown) =>
      around.log.warn(
        { event: 'restore.draft_failed', err: error },
        'the store made no folder for a draft: the files are copied',
      ),
    )
  if (draft !== undefined) await symlink(draft, folder)
  await around.store.fetch(manifest, draft ?? folder, bounded)
  return folder
}

export function lockOf(around: Surroundings, plan: ContainerPlan): SlotLock {
  const slot = { lineage: around.podPlan.lineage, container: plan.name }
  const { store, identity } = around
  const log = around.log.child({ container: plan.name })
  const work = workOf(around.podPlan, plan)
  return new SlotLock({ store, slot, identity, file: epochFileOf(plan.name), log, work })
}

/** Left by the restore init container when another pod of the lineage was still alive after it had waited. */
export function busyMark(container: string): string {
  return `${volumePaths.run}/${container}.busy`
}

/** Whether a checkpoint is to be restored whatever the work: then also another pod's end is waited for. */
export function asksForOne({ podPlan }: Surroundings): boolean {
  return podPlan.restore !== 'latest' && podPlan.restore !== 'never'
}

/** @param turn whose pod has the lineage, and what it does there that this pod would not */
export function lineageBusy({ holder, otherWork }: { holder: string; otherWork?: string[] }): Rejected {
  if (otherWork === undefined)
    return { id: '*', reason: 'lineage-busy', detail: `pod ${holder} of the same lineage is alive` }
  const detail = `pod ${holder} of the same lineage is alive and does other work: ${namesOf(otherWork)} changed`
  return { id: '*', reason: 'unfit-fingerprint', detail }
}

export type PrepareOptions = {
  around: Surroundings
  plan: ContainerPlan
  launcherPid: number
  /** The launcher's own (lifeOf). */
  life: string
  /** The container before is known to have ended in order. */
  inOrder: boolean
  adopt: (id: string, root: number, supervisor: number, statusFile: string) => Promise<boolean>
  lock: SlotLock
  /** Another launcher waits in its place by now, for which what was fetched is of use. */
  isReplaced: () => boolean
  /** The pod was told to end: that its container does is no sign of a bad checkpoint. */
  isEnding: () => boolean
  /** Charges the checkpoint. @throws ReprieveError where that is not recorded */
  killedInRestore: (checkpoint: string) => Promise<void>
  /** The launcher waits no more, or the whole has taken too long. */
  signal: AbortSignal
}

export async function prepare(options: PrepareOptions): Promise<Prepared> {
  try {
    return await prepareFrom(options)
  } finally {
    // Whatever became of it: a whole checkpoint would lie in the node's memory or on its disk for as long as the pod lives.
    if (!options.isReplaced()) await clearFetched(options.plan.name, options.around.log)
  }
}

async function prepareFrom({
  around,
  plan,
  launcherPid,
  life,
  inOrder,
  adopt,
  lock,
  isReplaced,
  isEnding,
  killedInRestore,
  signal,
}: PrepareOptions): Promise<Prepared> {
  const log = around.log.child({ container: plan.name })
  const runFolder = `${volumePaths.run}/${plan.name}`
  await mkdir(runFolder, { recursive: true })
  // Only what an attempt of an earlier life of this sidecar left: a postStart hook or a probe of the user's runs here as well.
  // And never what was there at an attempt in an earlier life of the container, whose launcher mostly had the same number.
  const attempted = `${runFolder}/attempted`
  if ((await readFile(attempted, 'latin1').catch(() => '')) === life) {
    await clearContainer(launcherPid, await containerProcesses(launcherPid))
    await takeBackEarlier(around, { plan, launcherPid }, signal)
  }
  await noteFirstStart(runFolder, launcherPid).catch((error: unknown) =>
    log.warn(
      { event: 'files.first_start_not_noted', err: error },
      'the start of the first launcher could not be noted',
    ),
  )
  await takeBaseline(launcherPid, plan, runFolder, log)
  // The restore init container has waited already where another pod lives on.
  const waited = await exists(busyMark(plan.name))
  const evenForOtherWork = asksForOne(around)
  const turn = await lock.await(signal, waited ? { patienceMs: 0 } : { evenForOtherWork })
  if (turn.outcome === 'busy' || turn.outcome === 'fenced')
    return { outcome: 'cold', rejected: [lineageBusy(turn)] }
  if (turn.outcome === 'unfenced')
    log.warn({ event: 'slot.unclaimed', why: turn.why }, 'the lineage could not be claimed')
  const note = new RestoreNote(runFolder, life, log)
  await note.settle(inOrder, killedInRestore)
  const found = await findCandidates(around, plan, signal)
  const { candidates, rejected, otherWork } = withoutUnrecorded(found, await note.unrecorded())
  around.numbers.want(
    plan.name,
    candidates.flatMap(({ process: { pids } }) => pids),
  )
  for (const manifest of candidates) {
    if (signal.aborted) break
    const folder = fetchedFolder(plan.name, manifest.id)
    let adopted = false
    try {
      // Before it is fetched: what does not fit need not be.
      await requireFitExternalFiles(around, { plan, launcherPid }, manifest)
      // The restore init container has fetched and verified the newest one already, and put its manifest there last.
      if (!(await isFetched(folder, manifest))) await fetchCheckpoint(around, manifest, signal)
      await provideLauncher(folder, manifest)
      const target = { plan, launcherPid }
      const adoptIt = async (...tree: [number, number, string]) => {
        adopted = await adopt(manifest.id, ...tree)
        if (!adopted) return false
        await note.end()
        // CRIU lets the application go on only afterwards: no checkpoint of it can come before.
        const continued = restoredLife(manifest, around.podPlan.restore, newGenerationId)
        await noteLife(plan.name, life, continued, log)
        return true
      }
      await writeFile(attempted, life)
      await note.begin(manifest.id)
      const restored = await attemptRestore(around, target, { manifest, folder }, { adopt: adoptIt, signal })
      return { outcome: 'restored', restored, rejected }
    } catch (error) {
      const reason = (error as { code?: string }).code ?? 'restore-failed'
      rejected.push({ id: manifest.id, reason, detail: describeError(error) })
      const killed = !adopted && (await endedWith(launcherPid, life))
      // A task that dies before CRIU has let go of the last one makes CRIU fail a restore that was none (finalize_restore_detach).
      log.error(
        { event: 'restore.failed', err: error, checkpoint: manifest.id },
        adopted
          ? 'the application was restored, and ended at once'
          : killed
            ? 'the container ended while a checkpoint was being restored'
            : 'a checkpoint could not be restored: trying the next older one',
      )
      await removeFetched(folder)
      // What ended the container is told with the next launcher, where that waits by now.
      if (killed && note.isBegun && !isReplaced())
        await (isEnding() ? note.end() : note.killed(manifest.id, killedInRestore))
      if (adopted || killed) return { outcome: 'ended', rejected }
      await note.end()
    }
  }
  if (!signal.aborted) await markCheckpoint(plan.name, undefined, log)
  return { outcome: 'cold', rejected, otherWork }
}

function withoutUnrecorded({ candidates, rejected, otherWork }: Found, ids: readonly string[]): Found {
  const detail = 'the container was killed in the restore, which could not be recorded in the store'
  const isOut = ({ id }: CheckpointManifest) => ids.includes(id)
  const out = candidates.filter(isOut).map(({ id }) => ({ id, reason: 'died-early', detail }))
  return {
    candidates: candidates.filter((manifest) => !isOut(manifest)),
    rejected: [...out, ...rejected],
    otherWork,
  }
}

export const fetchedMark = 'fetched.json'

async function isFetched(folder: string, manifest: CheckpointManifest): Promise<boolean> {
  const bytes = await readFile(`${folder}.${fetchedMark}`).catch(() => undefined)
  // A store's draft folder may have been swept since: then it is fetched again.
  if (bytes === undefined || !(await exists(folder))) return false
  try {
    return parseManifest(bytes).id === manifest.id
  } catch {
    return false
  }
}

/** The launcher is mapped into the dumped tree: one of another version travels with the checkpoint and is put under its own name. */
async function provideLauncher(folder: string, manifest: CheckpointManifest): Promise<void> {
  const hash = manifest.fits.launcher
  const carried = manifest.files.find((file) => file.path === `launcher-${hash}`)
  if (carried !== undefined) await installLauncher(`${folder}/${carried.path}`, hash)
}

/** The mark goes first: killed in between, no half of a checkpoint is taken for whole. */
async function removeFetched(folder: string): Promise<void> {
  await rm(`${folder}.${fetchedMark}`, { force: true })
  await removeWithDraft(folder)
}

/** Of a name that leads into the store's draft folder, both ends. */
async function removeWithDraft(path: string): Promise<void> {
  const draft = await readlink(path).catch(() => undefined)
  if (draft !== undefined) await rm(draft, { recursive: true, force: true })
  await rm(path, { recursive: true, force: true })
}

const isMark = (name: string) => name.endsWith(`.${fetchedMark}`)

/** Not while it may be restored from. A dump that lies beside it stays. Best effort: told in the log. */
export async function clearFetched(container: string, log: EventLog): Promise<void> {
  const folder = `${volumePaths.staging}/${container}`
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.fetched(\.|$)/.test(name))
  try {
    for (const name of [...names.filter(isMark), ...names.filter((name) => !isMark(name))])
      await removeWithDraft(`${folder}/${name}`)
  } catch (error) {
    log.warn(
      { event: 'restore.fetched_kept', err: error, container },
      'a checkpoint that was fetched was not removed',
    )
  }
}
