import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { replaceFile } from '../durable-file.ts'
import type { EventLog } from '../log.ts'
import type { SlotRecord } from '../manifest.ts'
import { emptySlotRecord, parseSlotRecord, serializeSlotRecord, slotRecordLimits } from '../slot-record.ts'
import { readBounded } from './read-bounded.ts'
import { partialName, recordName } from './slot-folder.ts'
import { ownWriterMark } from './writer-mark.ts'

/**
 * A damaged record costs what it remembered, never a restore: it is renamed for people to examine, and the slot gets an empty one. An
 * error of the disk is thrown.
 */
export async function readSlotRecord(slotFolder: string, log: EventLog | undefined): Promise<SlotRecord> {
  const path = join(slotFolder, recordName)
  try {
    return parseSlotRecord(await readBounded(path, slotRecordLimits.recordBytes))
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return emptySlotRecord()
    if (errno !== undefined && errno !== 'ELOOP' && errno !== 'ENXIO') throw error
    await putAside(path, error, log)
    return emptySlotRecord()
  }
}

/** @param gate of the writer: the record of one that was overtaken gets no name */
export async function writeSlotRecord(slotFolder: string, gate: string, record: SlotRecord): Promise<void> {
  const temporary = join(gate, partialName(recordName, ownWriterMark()))
  await replaceFile(join(slotFolder, recordName), serializeSlotRecord(record), temporary)
}

async function putAside(path: string, problem: unknown, log: EventLog | undefined): Promise<void> {
  const aside = `${path}.unreadable`
  try {
    await rename(path, aside)
    log?.warn(
      { event: 'slot_record.put_aside', err: problem, keptAs: aside },
      'the slot record could not be read; an empty one takes its place',
    )
  } catch (error) {
    log?.warn(
      { event: 'slot_record.unreadable', err: problem, path, asideErr: error },
      'the slot record could not be read, nor be put aside',
    )
  }
}
