/**
 * Thaws an application that an earlier sidecar left frozen. The launcher is frozen with its application and sends nothing, so the record of the
 * throttle (throttle.ts) names the cgroup. `launcher guard` does the same when its child dies (launcher/guard/left.c): this is for a sidecar
 * whose whole container died.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventLog } from '../../../src/log.ts'
import { lifeOf } from '../../proc/process-tree.ts'
import { MemoryCgroup } from './memory-cgroup.ts'

// @deadline A sidecar died and left the application frozen | `launcher guard` or the next sidecar thaws it; retries
const againMs = 1_000
const prefix = 'throttle-'

/** The file that records the throttle of a launcher, named by its process identity. */
export function recordOf(folder: string, launcherPid: number): string {
  return `${folder}/${prefix}${lifeOf(launcherPid)}`
}

export type LeftParts = {
  /** Of the container, where the records lie. */
  folder: string
  open: (launcherPid: number) => Promise<MemoryCgroup>
  log: EventLog
  /** For tests. */
  retryMs?: number
}

/** Resolves when nothing of an earlier sidecar is left frozen. */
export async function thawLeftFrozen(parts: LeftParts): Promise<void> {
  const { folder } = parts
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(prefix)) : []
  await Promise.all(names.map((name) => thawRecorded(`${folder}/${name}`, parts)))
}

/** Through the mount that the earlier sidecar left, or else through an own one, which may take several tries on a node without memory. */
async function thawRecorded(record: string, parts: LeftParts): Promise<void> {
  const { folder, open, log, retryMs = againMs } = parts
  const written = writtenAt(record)
  const launcherPid = Number.parseInt(record.slice(`${folder}/${prefix}`.length))
  // A record that was written since belongs to this sidecar.
  for (let isLogged = false; writtenAt(record) === written; isLogged = true) {
    const isGone = !existsSync(`/proc/${launcherPid}`) || recordOf(folder, launcherPid) !== record
    if (isGone) return rmSync(record, { force: true })
    try {
      const mounted = readFileSync(record, 'utf8').split('\n')[1] ?? ''
      const isMounted = existsSync(`${mounted}/cgroup.freeze`)
      const cgroup = isMounted ? new MemoryCgroup(2, mounted) : await open(launcherPid)
      if (writtenAt(record) !== written || !cgroup.isFrozen()) return
      cgroup.thaw()
      return log.warn(
        { event: 'memory.thawed', launcherPid },
        'an application that a sidecar had left frozen was thawed',
      )
    } catch (error) {
      if (!isLogged) log.error({ event: 'memory.thaw_delayed', err: error }, 'the cgroup that an earlier sidecar may have left frozen cannot be reached yet') // prettier-ignore
    }
    await delay(retryMs)
  }
}

function writtenAt(record: string): number | undefined {
  return statSync(record, { throwIfNoEntry: false })?.mtimeMs
}
