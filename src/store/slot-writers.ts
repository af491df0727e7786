/** The epochs that this process has in the slots of one store, and the writes that go through their gates. */
import { ReprieveError } from '../errors.ts'
import {
  beat,
  claimLock,
  closeGate,
  gatePath,
  isGone,
  newestEpoch,
  reclaimEpoch,
  takeEpoch,
  type Epoch,
  type Holder,
} from './epochs.ts'

type Writer = { epoch: Epoch; holder: Holder }

/** Of a caller that takes no turns, a test for example. */
const nobody: Holder = { pod: '', uid: '', node: '' }

export class SlotWriters {
  /** By the slot's folder. `overtaken`: another writer has the slot, until this process takes a new epoch. */
  readonly #writers = new Map<string, Writer | 'overtaken'>()
  readonly #taking = new Map<string, Promise<Writer>>()

  async take(folder: string, holder: Holder, after?: number): Promise<Epoch> {
    const epoch = await takeEpoch(folder, holder, after)
    this.#writers.set(folder, { epoch, holder })
    return epoch
  }

  /** Goes on with the epoch of an earlier process of the same pod. @returns undefined where another writer has the slot */
  async resume(folder: string, epoch: Epoch, holder: Holder): Promise<Epoch | undefined> {
    this.#writers.set(folder, { epoch, holder })
    return this.#confirm(folder, { epoch, holder })
  }

  /** @throws ReprieveError `lineage-fenced` */
  async beat(folder: string): Promise<Epoch> {
    const writer = this.#writers.get(folder)
    if (writer === undefined || writer === 'overtaken') throw fenced()
    const epoch = await this.#confirm(folder, writer)
    if (epoch === undefined) throw fenced()
    return epoch
  }

  /** Says what the slot lock of this process is worth. */
  async locked(folder: string, lock: Holder['lock']): Promise<void> {
    const writer = this.#writers.get(folder)
    if (writer === undefined || writer === 'overtaken') return
    const { lock: _, ...holder } = writer.holder
    this.#writers.set(folder, { ...writer, holder: lock === undefined ? holder : { ...holder, lock } })
    await claimLock(folder, writer.epoch, lock)
  }

  /** Ends the epoch: the next writer need not wait. */
  async leave(folder: string): Promise<void> {
    const writer = this.#writers.get(folder)
    this.#writers.delete(folder)
    if (writer !== undefined && writer !== 'overtaken') await closeGate(folder, writer.epoch.gate)
  }

  /**
   * Changes the slot through the gate of this process. Without an epoch it takes one, unless another writer seems to be there.
   * @throws ReprieveError `lineage-fenced` where another writer has the slot
   */
  async write<T>(folder: string, work: (gate: string, epoch: Epoch) => Promise<T>): Promise<T> {
    const { epoch } = await this.#own(folder)
    try {
      return await work(gatePath(folder, epoch.gate), epoch)
    } catch (error) {
      const writer = this.#writers.get(folder)
      if (!mayBeClosed(error) || writer === undefined) throw error
      if (writer === 'overtaken' || (await this.#confirm(folder, writer)) === undefined) throw fenced(error)
      throw error
    }
  }

  async #own(folder: string): Promise<Writer> {
    const writer = this.#writers.get(folder)
    if (writer === 'overtaken') throw fenced()
    if (writer !== undefined) return writer
    const taking =
      this.#taking.get(folder) ?? this.#takeFree(folder).finally(() => this.#taking.delete(folder))
    this.#taking.set(folder, taking)
    return taking
  }

  async #takeFree(folder: string): Promise<Writer> {
    if ((await newestEpoch(folder))?.beat !== undefined) throw fenced()
    const taken = { epoch: await takeEpoch(folder, nobody), holder: nobody }
    this.#writers.set(folder, taken)
    return taken
  }

  /** The epoch that this process has now; undefined where another writer has the slot. */
  async #confirm(folder: string, { epoch, holder }: Writer): Promise<Epoch | undefined> {
    if (await beat(folder, epoch)) return epoch
    // This process has left meanwhile, and closed the gate itself: the slot is not taken again.
    if (!this.#writers.has(folder)) return undefined
    const again = await reclaimEpoch(folder, epoch, holder)
    this.#writers.set(folder, again === undefined ? 'overtaken' : { epoch: again, holder })
    return again
  }
}

function mayBeClosed(error: unknown): boolean {
  return isGone(error) || (error instanceof Error && isGone(error.cause))
}

function fenced(cause?: unknown): ReprieveError {
  return new ReprieveError(
    'lineage-fenced',
    'another pod has taken the lineage: this one may not write to its slot any more',
    {},
    cause,
  )
}
