/**
 * What happens between a launcher's first word and the application's first instruction: from the newest checkpoint that fits
 * to the oldest, and from nothing when none is left. Nothing here may keep the application from starting.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { restoredLife } from '../../src/generation.ts'
import { workOf, type ContainerPlan } from '../../src/pod-plan.ts'
import { chooseCheckpoints, type RestoreChoice } from '../../src/restore-choice.ts'
import { volumePaths } from '../../src/volume.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { newGenerationId, noteLife } from '../lineage/life-note.ts'
import { clearEnded, endedWith as endedInPodWith, hungCheckpoints } from '../lineage/ended-note.ts'
import { takeBaseline } from '../files/baseline.ts'
import { noteFirstStart } from '../files/fresh-files.ts'
import { exists } from '../../src/exists.ts'
import { podAgeMs } from '../proc/pod-age.ts'
import { containerProcesses } from '../proc/process-tree.ts'
import { attemptRestore, clearContainer, takeBackEarlier, type Restored } from './restore-attempt.ts'
import { requireFitExternalFiles } from './fit-files.ts'
import { noteFreshStart } from './shared-volumes.ts'
import { clearRestoreMark } from './restore-mark.ts'
import { endedWith, RestoreNote } from './restore-note.ts'
import { clearFetched, fetchCheckpoint, fetchedFolder, isFetched, removeFetched } from './fetched.ts'
import { budgetFor, RestoreBudget } from './restore-budget.ts'
import type { LockOutcome } from '../lineage/lock-outcome.ts'
import { patienceOf } from '../lineage/patience.ts'
import { SlotLock } from '../lineage/slot-lock.ts'
import { epochFileOf } from '../lineage/epoch-file.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { installLauncher } from '../setup/tools.ts'
import { namesOf } from '../../src/work.ts'

/** A listing is a few small files; a store that takes longer hangs, and the application must not hang with it. */
// @deadline The store does not list its checkpoints | The application starts from its beginning
const listDeadlineMs = 30_000
export type Rejected = { id: string; reason: string; detail: string }

type Found = Pick<RestoreChoice, 'candidates' | 'otherWork'> & { rejected: Rejected[] }

export type Prepared =
  | { outcome: 'restored'; restored: Restored; rejected: Rejected[] }
  | { outcome: 'cold'; rejected: Rejected[]; otherWork?: RestoreChoice['otherWork'] }
  /** The launcher adopted the tree, and it is gone again, or was killed with it: the container ends, and there is nothing to start in it. */
  | { outcome: 'ended'; rejected: Rejected[] }

/**
 * Newest first, the checkpoints that this container may go on from. A store that cannot be read means none: that is said in
 * `rejected`, and the application starts from nothing.
 */
export async function findCandidates(
  around: Surroundings,
  plan: ContainerPlan,
  { signal, budget }: { signal: AbortSignal; budget: RestoreBudget },
): Promise<Found> {
  if (around.podPlan.restore === 'never') return { candidates: [], rejected: [] }
  const slot = { lineage: around.podPlan.lineage, container: plan.name }
  try {
    const { manifests, unreadable, record } = await budget.retry(async () => {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(listDeadlineMs)])
      const listed = await around.store.list(slot, bounded)
      return { ...listed, record: await around.store.readRecord(slot, bounded) }
    })
    const here = { ...workOf(around.podPlan, plan), architecture: process.arch }
    const { rejected, ...choice } = chooseCheckpoints(manifests, record, here, around.podPlan.restore)
    const broken = unreadable.map(({ id, reason }) => ({ id, reason: 'checkpoint-corrupt', detail: reason }))
    return { ...choice, rejected: [...broken, ...rejected] }
  } catch (error) {
    return { candidates: [], rejected: [{ id: '*', reason: 'store-failed', detail: describeError(error) }] }
  }
}

export function lockOf(around: Surroundings, plan: ContainerPlan): SlotLock {
  const slot = { lineage: around.podPlan.lineage, container: plan.name }
  const { store, identity } = around
  const log = around.log.child({ container: plan.name })
  const work = workOf(around.podPlan, plan)
  const fenced = (holder: string) =>
    around.events.tell({
      reason: 'Fenced',
      container: plan.name,
      code: holder,
      detail: `pod ${holder} has it`,
    })
  return new SlotLock({ store, slot, identity, file: epochFileOf(plan.name), log, work, fenced })
}

/** A store that does not answer may have another pod at work: it is asked again. @param waited another pod's end has been waited for */
export async function turnOf(
  around: Surroundings,
  lock: SlotLock,
  { budget, signal, waited = false }: { budget: RestoreBudget; signal: AbortSignal; waited?: boolean },
): Promise<LockOutcome> {
  for (;;) {
    const began = performance.now()
    const turn = await lock.await(signal, {
      ...patienceOf(around.podPlan.lineage, await podAgeMs()),
      ...(waited ? { patienceMs: 0 } : {}),
      evenForOtherWork: asksForOne(around),
    })
    if (turn.outcome !== 'busy' || turn.unanswered !== true) {
      budget.extend(performance.now() - began)
      return turn
    }
    const silence = new ReprieveError('store-failed', 'the store does not say whose the lineage is', {
      aborted: true,
    })
    if (!(await budget.allowsRetry(silence))) return turn
  }
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
  /** The same for one whose process hangs. */
  hung: (checkpoint: string) => Promise<void>
  /** The launcher waits no more, or the whole has taken too long. */
  signal: AbortSignal
}

export async function prepare(options: PrepareOptions): Promise<Prepared> {
  try {
    const prepared = await prepareFrom(options)
    if (prepared.outcome === 'cold') {
      await clearRestoreMark(`${volumePaths.run}/${options.plan.name}`)
      if (!options.signal.aborted) await noteFreshStart(options.around, options, options.signal)
    }
    return prepared
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
  hung,
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
  const budget = new RestoreBudget(
    await budgetFor(plan.name, around.podPlan.restoreBudgetMs ?? 0),
    signal,
    log,
  )
  const turn = await turnOf(around, lock, { budget, signal, waited })
  if (turn.outcome === 'busy' || turn.outcome === 'fenced')
    return { outcome: 'cold', rejected: [lineageBusy(turn)] }
  if (turn.outcome === 'unfenced')
    log.warn({ event: 'slot.unclaimed', why: turn.why }, 'the lineage could not be claimed')
  const note = new RestoreNote(runFolder, life, log)
  await note.settle(inOrder, killedInRestore)
  for (const id of await hungIn(around, plan.name, signal)) await note.killed(id, hung)
  await clearEnded(plan.name)
  const found = await findCandidates(around, plan, { signal, budget })
  const { candidates, rejected, otherWork } = withoutUnrecorded(found, await note.unrecorded())
  around.numbers.want(
    plan.name,
    candidates.flatMap(({ process: { pids } }) => pids),
  )
  let isReady = false
  for (let manifest = candidates.shift(); manifest !== undefined && !signal.aborted;) {
    const tried = manifest
    const folder = fetchedFolder(plan.name, tried.id)
    let adopted = false
    try {
      // Before it is fetched: what does not fit need not be.
      await requireFitExternalFiles(around, { plan, launcherPid }, tried)
      // The restore init container has fetched and verified the newest one already, and put its manifest there last.
      if (!isReady && !(await isFetched(folder, tried))) await fetchCheckpoint(around, tried, signal)
      isReady = true
      await provideLauncher(folder, tried)
      const target = { plan, launcherPid }
      const adoptIt = async (...tree: [number, number, string]) => {
        adopted = await adopt(tried.id, ...tree)
        if (!adopted) return false
        await note.end()
        // CRIU lets the application go on only afterwards: no checkpoint of it can come before.
        const continued = restoredLife(tried, around.podPlan.restore, newGenerationId)
        await noteLife(plan.name, life, continued, log)
        return true
      }
      await writeFile(attempted, life)
      await note.begin(tried.id)
      const restored = await attemptRestore(
        around,
        target,
        { manifest: tried, folder },
        { adopt: adoptIt, signal },
      )
      return { outcome: 'restored', restored, rejected }
    } catch (error) {
      const reason = (error as { code?: string }).code ?? 'restore-failed'
      const killed = !adopted && (await endedWith(launcherPid, life))
      // What ended the container is told with the next launcher, where that waits by now.
      if (killed && note.isBegun && !isReplaced())
        await (isEnding() ? note.end() : note.killed(tried.id, killedInRestore))
      if (!adopted && !killed) await note.end()
      const isOver = adopted || killed || !(await budget.allowsRetry(error))
      if (!isOver) continue
      await removeFetched(folder)
      isReady = false
      rejected.push({ id: tried.id, reason, detail: describeError(error) })
      // A task that dies before CRIU has let go of the last one makes CRIU fail a restore that was none (finalize_restore_detach).
      log.error(
        { event: 'restore.failed', err: error, checkpoint: tried.id },
        adopted
          ? 'the application was restored, and ended at once'
          : killed
            ? 'the container ended while a checkpoint was being restored'
            : 'a checkpoint could not be restored: trying the next older one',
      )
      if (adopted || killed) return { outcome: 'ended', rejected }
      manifest = candidates.shift()
    }
  }
  if (!signal.aborted) await markCheckpoint(plan.name, undefined, log)
  return { outcome: 'cold', rejected, otherWork }
}

async function hungIn(around: Surroundings, container: string, signal: AbortSignal): Promise<string[]> {
  const id = await endedInPodWith(container)
  if (id === undefined) return []
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(listDeadlineMs)])
  const listed = around.store.list({ lineage: around.podPlan.lineage, container }, bounded)
  return listed.then(({ manifests }) => hungCheckpoints(manifests, id), () => [id]) // prettier-ignore
}

function withoutUnrecorded({ candidates, rejected, otherWork }: Found, ids: readonly string[]): Found {
  const detail =
    'the container was killed in the restore, or the application hung, which could not be recorded in the store'
  const isOut = ({ id }: CheckpointManifest) => ids.includes(id)
  const out = candidates.filter(isOut).map(({ id }) => ({ id, reason: 'died-early', detail }))
  return {
    candidates: candidates.filter((manifest) => !isOut(manifest)),
    rejected: [...out, ...rejected],
    otherWork,
  }
}

/** The launcher is mapped into the dumped tree: one of another version travels with the checkpoint and is put under its own name. */
async function provideLauncher(folder: string, manifest: CheckpointManifest): Promise<void> {
  const hash = manifest.fits.launcher
  const carried = manifest.files.find((file) => file.path === `launcher-${hash}`)
  if (carried !== undefined) await installLauncher(`${folder}/${carried.path}`, hash)
}
