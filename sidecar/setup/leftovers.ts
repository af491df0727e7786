/**
 * Removes what an earlier sidecar left that was killed during a checkpoint: a CRIU whose dump nobody needs (it dumps until it asks its
 * question, gets no answer and resumes the application), and half a dump in the staging volume. If the whole container was killed, its
 * CRIU died too and only the half dump is left.
 */
import { readFile, readdir, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import { volumePaths } from '../../src/volume.ts'
import { everyProcess, isAlive, killAll } from '../proc/process-tree.ts'
import { toolArgv } from './tools.ts'

const killDeadlineMs = 5_000
/**
 * CRIU ends by itself when its images are written, since nobody answers its question, and then resumes the application in good order.
 * Killed at the wrong instant, it leaves a breakpoint in the application, which dies of it. In 30 s CRIU writes about 30 GiB.
 */
const ownEndMs = 30_000

export type Leftovers = { dumps: number[]; folders: string[] }

/** To be called before any new checkpoint or restore. Best effort: a failure is logged. */
export async function findLeftovers(log: EventLog): Promise<Leftovers> {
  try {
    return { dumps: await dumpsUnderWay(), folders: await halfDumps() }
  } catch (error) {
    log.warn(
      { event: 'leftovers.not_sought', reason: describeError(error) },
      'what an earlier sidecar left was not looked for',
    )
    return { dumps: [], folders: [] }
  }
}

/** Takes up to half a minute. Nothing needs to wait for it: a dump that fails because of another dump is retried. */
export async function clearLeftovers({ dumps, folders }: Leftovers, log: EventLog): Promise<void> {
  try {
    await endOfAll(dumps, ownEndMs)
    const left = await killAll(dumps, killDeadlineMs)
    if (dumps.length > 0)
      log.warn(
        { event: 'leftovers.dump_ended', dumps, left },
        'a dump that an earlier sidecar began was ended',
      )
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
    if (folders.length > 0)
      log.warn(
        { event: 'leftovers.dump_removed', folders },
        'half a dump that an earlier sidecar began was removed',
      )
  } catch (error) {
    log.warn(
      { event: 'leftovers.not_cleared', reason: describeError(error) },
      'what an earlier sidecar left was not cleared',
    )
  }
}

async function endOfAll(pids: readonly number[], deadlineMs: number): Promise<void> {
  for (const until = Date.now() + deadlineMs; Date.now() < until; await delay(20))
    if (!(await Promise.all(pids.map(isAlive))).includes(true)) return
}

async function dumpsUnderWay(): Promise<number[]> {
  const command = `${toolArgv('criu', 'dump').join('\0')}\0`
  const found: number[] = []
  for (const pid of await everyProcess()) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')
    if (line.startsWith(command)) found.push(pid)
  }
  return found
}

/** The folders of takeCheckpoint (checkpoint.ts). Checkpoints that were fetched for a restore stay. */
async function halfDumps(): Promise<string[]> {
  const folders: string[] = []
  for (const container of await readdir(volumePaths.staging)) {
    const names = await readdir(`${volumePaths.staging}/${container}`)
    for (const name of names)
      if (/\.(dump|work)$/.test(name)) folders.push(`${volumePaths.staging}/${container}/${name}`)
  }
  return folders
}
