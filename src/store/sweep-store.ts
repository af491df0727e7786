/**
 * One pass over the slots of a store. It removes the slots that nobody will come back for, and what dead writers left in the others.
 *
 * Before it removes a slot, it takes the slot's lock and then the epoch that follows the newest one, and only that: a pod that takes the slot at the
 * same time has the epoch, and the sweep passes the slot over. Checkpoints go through the gate of that epoch, so that a pod that comes later
 * stops the removal. Whatever goes is renamed first. A sweep that is killed leaves nothing half removed in sight, and the next one goes on.
 */
import { readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCheckpointId } from '../checkpoint-id.ts'
import { ReprieveError, describeError } from '../errors.ts'
import { isRecord } from '../shape.ts'
import { claimsOf, closeGate, gatePath, isGone, takeExactly, type Holder } from './epochs.ts'
import { readBounded } from './read-bounded.ts'
import { doomedSlots, livingMs, pendingMs, type Doomed, type Retention } from './retention.ts'
import { removeEmptySlot } from './remove-slot.ts'
import { lockName } from './slot-folder.ts'
import {
  lineageFolders,
  lineageRoots,
  nowOf,
  slotsBelow,
  surveySlot,
  sweeper,
  type SurveyedSlot,
} from './slot-survey.ts'
import { removeCheckpoints, sweepGates, sweepLeftovers } from './sweep.ts'

export type SweepOptions = {
  retention: Retention
  /** Only its slots. */
  namespace?: string
  mostSlots?: number
  dryRun?: boolean
  /** Takes the lock of a slot. @returns what frees it, or undefined where another process has it. */
  lock: (file: string) => Promise<(() => void) | undefined>
}

export type Swept = Pick<SurveyedSlot, 'lineage' | 'container' | 'idleMs' | 'bytes' | 'checkpoints'> & {
  why: Doomed<SurveyedSlot>['why']
  /** `in-use`: a pod has it, or took it meanwhile. */
  outcome: 'removed' | 'would-remove' | 'in-use' | 'failed'
  detail?: string
}

const mostNoteBytes = 65_536

/** Of a writer elsewhere that changes nothing in a partial: see createDirectoryStore. */
const abandonedAfterMs = 3_600_000

export async function sweepStore(root: string, options: SweepOptions, signal: AbortSignal): Promise<Swept[]> {
  const { retention, namespace, mostSlots, dryRun = false } = options
  const roots = await lineageRoots(root, namespace)
  const found = (await Promise.all(roots.map((one) => slotsBelow(one, namespace)))).flat()
  // In an order of chance: a sweep may have time for some only.
  const all = found.sort(() => Math.random() - 0.5).slice(0, mostSlots)
  const about = { nowMs: await nowOf(root), countBytes: dryRun || retention.namespaceBytes !== undefined }
  const slots: SurveyedSlot[] = []
  for (const slot of all) {
    signal.throwIfAborted()
    await surveySlot(slot, about).then((seen) => slots.push(seen), ignoreGone)
  }
  const doomed = doomedSlots(slots, retention)
  const swept: Swept[] = []
  for (const { slot, why } of doomed) {
    signal.throwIfAborted()
    const { lineage, container, idleMs, bytes, checkpoints } = slot
    const done = { lineage, container, idleMs, bytes, checkpoints, why }
    if (dryRun) swept.push({ ...done, outcome: 'would-remove' })
    else swept.push({ ...done, ...(await removeSlot(slot, options, signal)) })
  }
  if (dryRun) return swept
  const going = new Set(doomed.map(({ slot }) => slot.folder))
  for (const { folder } of slots)
    if (!going.has(folder)) await sweepSlotLeftovers(folder, signal).catch(ignoreGone)
  // Of sweeps that were killed.
  for (const one of roots) {
    for (const lineage of await lineageFolders(one, namespace))
      await rmdir(join(one, lineage)).catch(() => undefined)
    // The folder of a namespace itself stays: pods that have begun to start may have it mounted.
    if (namespace === undefined) await sweepLeftovers(one, abandonedAfterMs, signal).catch(ignoreGone)
  }
  return swept
}

async function removeSlot(
  slot: SurveyedSlot,
  { lock }: SweepOptions,
  signal: AbortSignal,
): Promise<Pick<Swept, 'outcome' | 'detail'>> {
  const { root, folder } = slot
  let unlock: (() => void) | undefined
  try {
    unlock = await lock(join(folder, lockName))
    const claims = await claimsOf(folder)
    const newest = claims.reduce((most, { number }) => Math.max(most, number), 0)
    if (unlock === undefined && !(await isOfSilent(slot, claims.find(({ number }) => number === newest)?.holder))) return { outcome: 'in-use' } // prettier-ignore
    const seen = await surveySlot(slot, { nowMs: await nowOf(root), countBytes: false })
    if (seen.idleMs <= Math.min(livingMs, slot.idleMs)) return { outcome: 'in-use' }
    const epoch = await takeExactly(folder, newest + 1, sweeper)
    if (epoch === undefined) return { outcome: 'in-use' }
    const gate = gatePath(folder, epoch.gate)
    await removeCheckpoints(folder, gate, (await readdir(folder)).filter(isCheckpointId), signal)
    await closeGate(folder, epoch.gate)
    return { outcome: (await removeEmptySlot(slot)) ? 'removed' : 'in-use' }
  } catch (error) {
    const isTaken = error instanceof ReprieveError && error.code === 'lineage-fenced'
    return isTaken || isGone(error)
      ? { outcome: 'in-use' }
      : { outcome: 'failed', detail: describeError(error) }
  } finally {
    unlock?.()
  }
}

/**
 * Whether the lock is that of the newest writer, which beats while it lives: an NFS server may keep the lock of a node that died, for ever. A pod
 * of an earlier release beats not, and signs the lock without a claim.
 */
async function isOfSilent({ folder, idleMs }: SurveyedSlot, newest: Holder | undefined): Promise<boolean> {
  if (newest === undefined || newest.uid === '' || idleMs <= pendingMs) return false
  try {
    const note = JSON.parse((await readBounded(join(folder, lockName), mostNoteBytes)).toString()) as unknown
    return isRecord(note) && note.uid === newest.uid
  } catch {
    return false
  }
}

async function sweepSlotLeftovers(folder: string, signal: AbortSignal): Promise<void> {
  await sweepLeftovers(folder, abandonedAfterMs, signal)
  await sweepGates(folder, abandonedAfterMs, signal)
}

function ignoreGone(error: unknown): undefined {
  if (!isGone(error)) throw error
}
