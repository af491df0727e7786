/**
 * What an earlier life of this sidecar, killed in the middle of a checkpoint, has left: a CRIU that dumps for nobody (it goes on
 * until it asks, and keeps the application standing still until then), and half a dump in the staging volume.
 */
import { readFile, readdir, rm } from 'node:fs/promises'
import { describeError } from '../src/errors.ts'
import type { Log } from '../src/log.ts'
import { volumePaths } from '../src/volume.ts'
import { killAll } from './process-tree.ts'
import { toolArgv } from './tools.ts'

const killDeadlineMs = 5_000

/** To be called before anything is begun. Best effort: told in the log. */
export async function clearLeftovers(log: Log): Promise<void> {
  try {
    const dumps = await dumpsUnderWay()
    // CRIU's death lets go of what it traces, at whatever instant (ptrace(2)): the application goes on.
    const left = await killAll(dumps, killDeadlineMs)
    if (dumps.length > 0) log.warn({ dumps, left }, 'a dump that an earlier sidecar began was ended')
    const folders = await halfDumps()
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
    if (folders.length > 0) log.warn({ folders }, 'half a dump that an earlier sidecar began was removed')
  } catch (error) {
    log.warn({ reason: describeError(error) }, 'what an earlier sidecar left was not cleared')
  }
}

async function dumpsUnderWay(): Promise<number[]> {
  const command = `${toolArgv('criu', 'dump').join('\0')}\0`
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const line = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '')
    if (line.startsWith(command)) found.push(Number(name))
  }
  return found
}

/** The folders of takeCheckpoint (checkpoint.ts); what was fetched for a restore stays. */
async function halfDumps(): Promise<string[]> {
  const folders: string[] = []
  for (const container of await readdir(volumePaths.staging)) {
    const names = await readdir(`${volumePaths.staging}/${container}`)
    for (const name of names)
      if (/\.(dump|work)$/.test(name)) folders.push(`${volumePaths.staging}/${container}/${name}`)
  }
  return folders
}
