/**
 * Tells the application that it was restored: memory that two restores of one checkpoint share must not give the same random numbers
 * twice. The file is there, with a new id, before the application's first instruction; after a start from the beginning there is none.
 */
import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'

const markOf = (runFolder: string) => `${runFolder}/restored`

/** @param runFolder of the container: the application sees it as `/reprieve/run/CONTAINER` */
export async function markRestore(runFolder: string, checkpoint: string, log: EventLog): Promise<void> {
  const mark = { id: randomUUID(), checkpoint, restoredAt: new Date().toISOString() }
  const draft = `${markOf(runFolder)}.new`
  try {
    await writeFile(draft, `${JSON.stringify(mark)}\n`, { mode: 0o644 })
    await rename(draft, markOf(runFolder))
  } catch (error) {
    log.warn({ event: 'restore.not_marked', err: error }, 'the application is not told of its restore')
  }
}

export async function clearRestoreMark(runFolder: string): Promise<void> {
  await rm(markOf(runFolder), { force: true }).catch(() => undefined)
}
