/** Gives threads the processors back that they had, which CRIU leaves out, and finds what else is not as it was at the checkpoint. */
import { readFile } from 'node:fs/promises'
import type { EventLog } from '../../src/log.ts'
import { isRecord } from '../../src/shape.ts'
import { volumePaths } from '../../src/volume.ts'
import { runCommand } from '../proc/command.ts'
import {
  differences,
  inventoryFile,
  pinnedThreads,
  takeInventory,
  type Inventory,
} from '../proc/inventory.ts'
import { threadsOf, treeOf } from '../proc/process-tree.ts'

const deadlineMs = 5_000
/** A command line holds 2 MiB. */
const mostPinned = 10_000

/** @returns undefined for a checkpoint of an earlier release, or one that says nothing that can be read */
export async function readInventory(folder: string): Promise<Inventory | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(`${folder}/${inventoryFile}`, 'latin1'))
    return isInventory(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isInventory(value: unknown): value is Inventory {
  return (
    isRecord(value) &&
    value.version === 1 &&
    typeof value.affinity === 'string' &&
    isRecord(value.tasks) &&
    Object.values(value.tasks).every(
      (task) => isRecord(task) && Object.values(task).every((one) => typeof one === 'string'),
    )
  )
}

/** To be called while the restored tree stands still. A thread of whose processors none is here keeps all; `lostAttributes` tells of it. */
export async function putBackAffinity(was: Inventory, root: number, log: EventLog): Promise<void> {
  const own = new Set(await threadsOf(await treeOf(root)))
  const words = pinnedThreads(was)
    .filter(({ tid, mask }) => own.has(tid) && /^[0-9a-f]{1,2048}$/.test(mask))
    .slice(0, mostPinned)
    .map(({ tid, mask }) => `${tid}:${mask}`)
  if (words.length === 0) return
  const result = await runCommand([volumePaths.launcher, 'affinity', ...words], { log, deadlineMs })
  if (result.outcome !== 'exited' || result.stderr !== '')
    log.debug(
      { event: 'restore.affinity_unset', stderr: result.stderr },
      'not all threads got their processors',
    )
}

/** To be called as soon as the tree runs: what a program changes by itself in its first instant counts as well. */
export async function lostAttributes(was: Inventory, launcherPid: number, root: number): Promise<string[]> {
  const found = differences(was, await takeInventory(launcherPid, await treeOf(root)))
  return found.length <= mostTold
    ? found
    : [...found.slice(0, mostTold), `and ${found.length - mostTold} more`]
}

const mostTold = 20
