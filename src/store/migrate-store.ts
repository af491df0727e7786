/**
 * Moves the slots that a release before 0.3 left in the folder of the whole store into the folders of their namespaces. A slot that a pod has,
 * or has had a moment ago, stays: the next pod of the lineage moves it, or the next call does.
 */
import { basename, join } from 'node:path'
import { describeError } from '../errors.ts'
import { isGone } from './epochs.ts'
import { livingMs } from './retention.ts'
import { moveSlot } from './slot-places.ts'
import { namespaceOf, nowOf, slotsBelow, surveySlot, type SlotPlace } from './slot-survey.ts'
import type { SweepOptions } from './sweep-store.ts'
import { lockName } from './slot-folder.ts'

export type MigrateOptions = Pick<SweepOptions, 'namespace' | 'dryRun' | 'lock'>

export type Migrated = Pick<SlotPlace, 'lineage' | 'container'> & {
  /** `superseded`: pods of this release have made the slot anew, and use that. */
  outcome: 'moved' | 'would-move' | 'in-use' | 'superseded' | 'failed'
  detail?: string
}

/** @param root the folder of the whole store; never that of a claim, whose pods see no folders of namespaces */
export async function migrateStore(
  root: string,
  options: MigrateOptions,
  signal: AbortSignal,
): Promise<Migrated[]> {
  const migrated: Migrated[] = []
  for (const place of await slotsBelow(root, options.namespace)) {
    signal.throwIfAborted()
    const { lineage, container } = place
    migrated.push({ lineage, container, ...(await migrateSlot(place, options)) })
  }
  return migrated
}

async function migrateSlot(
  place: SlotPlace,
  { dryRun = false, lock }: MigrateOptions,
): Promise<Pick<Migrated, 'outcome' | 'detail'>> {
  const { root, lineage, container } = place
  let unlock: (() => void) | undefined
  try {
    unlock = await lock(join(root, lineage, container, lockName))
    if (unlock === undefined) return { outcome: 'in-use' }
    const { folder, idleMs } = await surveySlot(place, { nowMs: await nowOf(root), countBytes: false })
    if (idleMs <= livingMs) return { outcome: 'in-use' }
    if (dryRun) return { outcome: 'would-move' }
    const isMoved = await moveSlot(folder, join(root, namespaceOf(lineage), lineage, basename(folder)))
    return { outcome: isMoved ? 'moved' : 'superseded' }
  } catch (error) {
    return isGone(error) ? { outcome: 'in-use' } : { outcome: 'failed', detail: describeError(error) }
  } finally {
    unlock?.()
  }
}
