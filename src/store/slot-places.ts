/**
 * Where the slots of a store lie. The releases before 0.3 kept the lineages of all namespaces in one folder. A pod that sees that folder finds
 * its slot there, and brings it home, to the folder of its namespace, when it takes the slot.
 */
import { rename, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder, syncFolder } from '../durable-file.ts'
import { errnoOf } from '../errors.ts'
import { exists } from '../exists.ts'
import type { Slot } from '../manifest.ts'
import { encodeName, findSlotFolder, makeSlotFolder } from './slot-folder.ts'

export class SlotPlaces {
  readonly #root: string
  readonly #earlierRoot: string | undefined

  constructor(root: string, earlierRoot?: string) {
    this.#root = root
    this.#earlierRoot = earlierRoot
  }

  /** Undefined where the slot is nowhere. */
  async find(slot: Slot): Promise<string | undefined> {
    return (await findSlotFolder(this.#root, slot)) ?? this.#findEarlier(slot)
  }

  async make(slot: Slot): Promise<string> {
    return (await this.find(slot)) ?? makeSlotFolder(this.#root, slot)
  }

  /** For the pod that takes the slot, and has its lock: nobody writes to it meanwhile. The lock moves with the folder. */
  async settle(slot: Slot): Promise<string> {
    const earlier = (await findSlotFolder(this.#root, slot)) === undefined ? await this.#findEarlier(slot) : undefined
    if (earlier !== undefined)
      await moveSlot(earlier, join(this.#root, encodeName(slot.lineage), encodeName(slot.container)))
    return makeSlotFolder(this.#root, slot)
  } // prettier-ignore

  async #findEarlier(slot: Slot): Promise<string | undefined> {
    return this.#earlierRoot === undefined ? undefined : findSlotFolder(this.#earlierRoot, slot)
  }
}

const mostTries = 10

/** In one step, within one file system. @returns false where the slot is gone, or its new place is taken */
export async function moveSlot(from: string, to: string): Promise<boolean> {
  for (let tries = 0; ; tries++) {
    await makeFolder(dirname(to))
    try {
      await rename(from, to)
      break
    } catch (error) {
      const code = errnoOf(error) ?? ''
      // A sweep has removed the folder of the lineage again, which was empty.
      if (code === 'ENOENT' && tries < mostTries && (await exists(from))) continue
      if (['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(code)) return false
      throw error
    }
  }
  for (const folder of [dirname(to), dirname(from)]) await syncFolder(folder)
  // The lineage's, unless another container of it is still there.
  await rmdir(dirname(from)).catch(() => undefined)
  return true
}
