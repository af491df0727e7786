/**
 * What was frozen by us, and has not been let go by whoever froze it: an earlier life of this sidecar, killed at the wrong instant, or this one
 * as it ends. The launcher stands still with its application, so nobody else would ever say a word. Guard does the same when its child
 * dies (launcher/guard/left.c).
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../../../src/log.ts'
import { volumePaths } from '../../../src/volume.ts'
import { MemoryCgroup } from './memory-cgroup.ts'

// @deadline A sidecar died and left the application frozen | `launcher guard` or the next sidecar thaws it; retries
const againMs = 1_000

type Mark = { launcherPid: number; folder: string | undefined }

type Marked = { frozenMark: string; log: Log }

/** Where it is noted that we froze a container's cgroup. */
export function frozenMarkOf(container: string, run: string = volumePaths.run): string {
  return `${run}/${container}/frozen`
}

/** Before it is frozen. Guard reads it, too. */
export function mark(frozenMark: string, launcherPid: number, { folder }: MemoryCgroup): void {
  writeFileSync(frozenMark, `${launcherPid} ${folder}`)
}

/**
 * Of an earlier life: by the mount that it left, or else by one of our own, which may take several tries on a pressed node.
 * Ends when nothing of it is left to be let go.
 */
export async function thawLeftFrozen({
  frozenMark,
  open,
  log,
  retryMs = againMs,
}: Marked & { open: (launcherPid: number) => Promise<MemoryCgroup>; retryMs?: number }): Promise<void> {
  const left = writtenAt(frozenMark)
  // Of this life is what was written since.
  const isLeft = () => left !== undefined && writtenAt(frozenMark) === left
  for (let isTold = false; isLeft(); isTold = true) {
    const { launcherPid, folder } = read(frozenMark)
    try {
      const isMounted = folder !== undefined && existsSync(`${folder}/cgroup.freeze`)
      const cgroup = isMounted ? new MemoryCgroup(2, folder) : await open(launcherPid)
      if (isLeft()) thawMarked({ cgroup, frozenMark, launcherPid, log })
      return
    } catch (error) {
      if (!existsSync(`/proc/${launcherPid}`)) return rmSync(frozenMark, { force: true })
      if (!isTold) log.error({ err: error }, 'what an earlier sidecar may have left frozen cannot be reached yet') // prettier-ignore
    }
    await delay(retryMs)
  }
}

/** Of this life, as it ends: its mount is there. */
export function thawAtTheEnd({ frozenMark, log }: Marked): void {
  try {
    if (!existsSync(frozenMark)) return
    const { launcherPid, folder } = read(frozenMark)
    if (folder === undefined) return
    thawMarked({ cgroup: new MemoryCgroup(2, folder), frozenMark, launcherPid, log })
  } catch (error) {
    log.error({ err: error }, 'the application could not be let go')
  }
}

/** Only what the mark says that we froze: somebody else may have frozen it too. */
export function thawMarked({
  cgroup,
  frozenMark,
  launcherPid,
  log,
}: Marked & { cgroup: MemoryCgroup; launcherPid: number }): void {
  if (existsSync(frozenMark) && read(frozenMark).launcherPid === launcherPid && cgroup.isFrozen()) {
    cgroup.thaw()
    log.warn({ launcherPid }, 'what a sidecar left frozen was let go')
  }
  rmSync(frozenMark, { force: true })
}

function read(frozenMark: string): Mark {
  const [pid, folder] = readFileSync(frozenMark, 'utf8').split(/ (.*)/s)
  return { launcherPid: Number(pid), folder }
}

function writtenAt(frozenMark: string): number | undefined {
  return statSync(frozenMark, { throwIfNoEntry: false })?.mtimeMs
}
