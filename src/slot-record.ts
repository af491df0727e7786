/**
 * The record of a slot, and how it changes. Pure.
 *
 * Only a death of the application itself counts against a checkpoint (docs/decisions/0008): a pod that is taken away soon after a
 * restore, twice by chance, must not cost its last checkpoint.
 */
import { isCheckpointId } from './checkpoint-id.ts'
import { ReprieveError } from './errors.ts'
import type { SlotRecord } from './manifest.ts'
import { isInstant } from './manifest-shape.ts'
import { openSealedJson, sealJson } from './sealed-json.ts'
import { mapOf, object, problemsOf, summarize, text, whole } from './shape.ts'

export const slotRecordLimits = { recordBytes: 16 << 20, trials: 10_000, reasonBytes: 4096 } as const

/** A checkpoint from which the application died early this often is not tried again. */
export const mostEarlyDeaths = 2

export const hungReason = 'a liveness or startup probe failed, so the application hung'

export function emptySlotRecord(): SlotRecord {
  return { version: 1, trials: {} }
}

/** The application lived long enough: what it died of before was not the checkpoint. */
export function provedAlive(record: SlotRecord, id: string): SlotRecord {
  return withTrial(record, id, undefined)
}

export function diedEarly(record: SlotRecord, id: string, reason: string): SlotRecord {
  return withTrial(record, id, { earlyDeaths: earlyDeathsOf(record, id) + 1, lastReason: short(reason) })
}

/** The process in it hangs: it is not tried again. */
export function hung(record: SlotRecord, id: string): SlotRecord {
  return withTrial(record, id, { earlyDeaths: mostEarlyDeaths, lastReason: hungReason })
}

/** The application ended with status 0: nothing made before this instant is ever restored, and what it needed is past. */
export function finished(record: SlotRecord, instant: string): SlotRecord {
  const { needs: _, ...rest } = record
  return { ...rest, finishedAt: instant }
}

/** The application began from its beginning because its work is another. @param newest the checkpoint that was not restored */
export function leftBehind(record: SlotRecord, left: NonNullable<SlotRecord['left']>): SlotRecord {
  return { ...record, left: { ...left, changed: short(left.changed) } }
}

/**
 * The memory that the next pod of the lineage needs. A smaller need than the recorded one changes nothing: a pod that was not given what an earlier one needed, and has grown to some of it,
 * must still know that it was not, or it would be ended for it again and again.
 */
export function needs(record: SlotRecord, need: NonNullable<SlotRecord['needs']>): SlotRecord {
  return (record.needs?.memoryBytes ?? 0) >= need.memoryBytes ? record : { ...record, needs: need }
}

export function earlyDeathsOf(record: SlotRecord, id: string): number {
  return Object.hasOwn(record.trials, id) ? (record.trials[id]?.earlyDeaths ?? 0) : 0
}

/** Reasons may come from a program's last words: a long one must not make the record unwritable. */
function short(reason: string): string {
  return reason.slice(0, slotRecordLimits.reasonBytes / 4).toWellFormed()
}

/** The oldest trial goes where the record would get too many to be written: its checkpoint is long gone. */
function withTrial(
  record: SlotRecord,
  id: string,
  trial: SlotRecord['trials'][string] | undefined,
): SlotRecord {
  const all = Object.entries(record.trials).filter(([other]) => other !== id)
  const others = all.slice(-(slotRecordLimits.trials - 1))
  return { ...record, trials: Object.fromEntries(trial === undefined ? others : [...others, [id, trial]]) }
}

const shape = object(
  {
    version: whole(1, 1),
    finishedAt: text('an instant like 2026-01-02T03:04:05.678Z', 24, isInstant),
    needs: object({ memoryBytes: whole(1), podUid: text('a text', 256, () => true) }),
    left: object({
      at: text('an instant like 2026-01-02T03:04:05.678Z', 24, isInstant),
      changed: text('a text', slotRecordLimits.reasonBytes, () => true),
      newest: text("a checkpoint's id", 64, isCheckpointId),
    }),
    trials: mapOf(
      text("a checkpoint's id", 64, isCheckpointId),
      object({
        earlyDeaths: whole(0),
        lastReason: text('a text', slotRecordLimits.reasonBytes, () => true),
      }),
      slotRecordLimits.trials,
    ),
  },
  ['finishedAt', 'needs', 'left'],
)

/** @throws ReprieveError `manifest-invalid` when the record could not be read back */
export function serializeSlotRecord(record: SlotRecord): Buffer {
  return sealJson(requireSlotRecord(record))
}

/** @throws ReprieveError `manifest-invalid` */
export function parseSlotRecord(bytes: Uint8Array): SlotRecord {
  try {
    return requireSlotRecord(openSealedJson(bytes))
  } catch (error) {
    throw new ReprieveError('manifest-invalid', 'the slot record cannot be read', {}, error)
  }
}

function requireSlotRecord(value: unknown): SlotRecord {
  const problems = problemsOf(shape, value)
  if (problems.length === 0) return value as SlotRecord
  throw new ReprieveError('manifest-invalid', `not a slot record: ${summarize(problems)}`, { problems })
}
