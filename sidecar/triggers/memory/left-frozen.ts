/**
 * What an earlier life of this sidecar left frozen. The launcher stands still with its application and says nothing, so the record of the
 * brake (brake.ts) tells which cgroup to look at. `launcher guard` does the same when its child dies (launcher/guard/left.c): this is for
 * a sidecar whose whole container died.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../../../src/log.ts'
import { lifeOf } from '../../proc/process-tree.ts'
import { MemoryCgroup } from './memory-cgroup.ts'

// @deadline A sidecar died and left the application frozen | `launcher guard` or the next sidecar thaws it; retries
const againMs = 1_000
const prefix = 'brake-'

/** Where is kept what was set in the cgroup of a launcher: of this very process, whoever has its number later. */
export function recordOf(folder: string, launcherPid: number): string {
  return `${folder}/${prefix}${lifeOf(launcherPid)}`
}

export type LeftParts = {
  /** Of the container, where the records lie. */
  folder: string
  open: (launcherPid: number) => Promise<MemoryCgroup>
  log: Log
  /** For tests. */
  retryMs?: number
}

/** Ends when nothing of an earlier life is left to be thawed. */
export async function thawLeftFrozen(parts: LeftParts): Promise<void> {
  const { folder } = parts
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(prefix)) : []
  await Promise.all(names.map((name) => thawRecorded(`${folder}/${name}`, parts)))
}

/** By the mount that the earlier life left, or else by one of our own, which may take several tries on a pressed node. */
async function thawRecorded(record: string, parts: LeftParts): Promise<void> {
  const { folder, open, log, retryMs = againMs } = parts
  const written = writtenAt(record)
  const launcherPid = Number.parseInt(record.slice(`${folder}/${prefix}`.length))
  // Written since, it is of this life.
  for (let isTold = false; writtenAt(record) === written; isTold = true) {
    const isGone = !existsSync(`/proc/${launcherPid}`) || recordOf(folder, launcherPid) !== record
    if (isGone) return rmSync(record, { force: true })
    try {
      const mounted = readFileSync(record, 'utf8').split('\n')[1] ?? ''
      const isMounted = existsSync(`${mounted}/cgroup.freeze`)
      const cgroup = isMounted ? new MemoryCgroup(2, mounted) : await open(launcherPid)
      if (writtenAt(record) !== written || !cgroup.isFrozen()) return
      cgroup.thaw()
      return log.warn({ launcherPid }, 'what a sidecar left frozen was let go')
    } catch (error) {
      if (!isTold) log.error({ err: error }, 'what an earlier sidecar may have left frozen cannot be reached yet') // prettier-ignore
    }
    await delay(retryMs)
  }
}

function writtenAt(record: string): number | undefined {
  return statSync(record, { throwIfNoEntry: false })?.mtimeMs
}
