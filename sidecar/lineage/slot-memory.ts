/** The record of a slot in the store, beside its checkpoints. Only the pod that has the slot writes it. */
import { ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { Slot, SlotRecord } from '../../src/manifest.ts'
import { diedEarly, finished, hung, leftBehind, needs, provedAlive } from '../../src/slot-record.ts'
import type { Store } from '../../src/store/store.ts'
import { instantInSlot } from './slot-instant.ts'
import type { SlotLock } from './slot-lock.ts'

/** For reading or writing one small file: a hung file server must not delay the end of the container for longer. */
export const recordDeadlineMs = 10_000

export class SlotMemory {
  readonly #store: Store
  readonly #slot: Slot
  readonly #lock: SlotLock
  readonly #log: EventLog
  /** The updates run one after another, since each writes what it read, changed. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store, slot: Slot, lock: SlotLock, log: EventLog) {
    this.#store = store
    this.#slot = slot
    this.#lock = lock
    this.#log = log
  }

  async diedEarly(checkpoint: string, code: number): Promise<void> {
    this.#log.error(
      { event: 'checkpoint.blamed', checkpoint, code },
      'the application died, and its checkpoint is to blame',
    )
    await this.#update((record) => diedEarly(record, checkpoint, `exit code ${code}`))
  }

  /** The whole container was killed during its restore. */
  async killedInRestore(checkpoint: string): Promise<void> {
    this.#log.error(
      { event: 'restore.killed', checkpoint },
      'the container was killed while its checkpoint was being restored',
    )
    await this.#update((record) => diedEarly(record, checkpoint, 'the container was killed in the restore'))
  }

  /** The kubelet ended the application because a probe failed, and started it again in its pod. */
  async hung(checkpoint: string): Promise<void> {
    this.#log.error(
      { event: 'application.hung', checkpoint },
      'the application hung: it does not go on from this checkpoint, but from an older one or its beginning',
    )
    await this.#update((record) => hung(record, checkpoint))
  }

  async provedAlive(checkpoint: string): Promise<void> {
    await this.#update((record) => provedAlive(record, checkpoint))
  }

  /**
   * The application began from its beginning because its work is another. While another pod has the slot lock this is not recorded: the first
   * checkpoint of this pod will tell it.
   */
  async leftBehind(newest: string, changed: string): Promise<void> {
    const at = (await instantInSlot(this.#store, this.#slot, this.#log)).toISOString()
    await this.#update((record) => leftBehind(record, { at, changed, newest }))
  }

  /** Records the memory that the next pod needs. @throws ReprieveError where that fails, or another pod has the slot lock */
  async needs(memoryBytes: number, podUid: string): Promise<void> {
    if (!(await this.#update((record) => needs(record, { memoryBytes, podUid }))))
      throw new ReprieveError('lineage-busy', 'another pod of the same lineage has the slot')
  }

  /** @throws ReprieveError `store-failed` */
  async needed(): Promise<SlotRecord['needs']> {
    return (await this.#store.readRecord(this.#slot, AbortSignal.timeout(recordDeadlineMs))).needs
  }

  /** The work is done: no checkpoint so far may be restored. First this is recorded, then the checkpoints are removed. */
  async finished(now = Date.now): Promise<void> {
    const instant = (await instantInSlot(this.#store, this.#slot, this.#log, now)).toISOString()
    const end = () => this.#update((record) => finished(record, instant))
    const recorded = await end().catch((error: unknown) => {
      this.#log.warn(
        { event: 'lineage.end_not_recorded', err: error },
        'the end of the work could not be recorded: trying once more',
      )
      return end()
    })
    if (!recorded) return
    this.#log.info({ event: 'lineage.finished' }, 'the application finished: its lineage ends')
    await this.#store
      .removeBefore(this.#slot, instant, AbortSignal.timeout(recordDeadlineMs))
      .catch((error) =>
        this.#log.warn(
          { event: 'lineage.not_cleared', err: error },
          'the checkpoints of finished work were not removed',
        ),
      )
  }

  /** False where another pod has the slot: only that pod may change the record. */
  #update(change: (record: SlotRecord) => SlotRecord): Promise<boolean> {
    const done = this.#turn.then(() => this.#updateNow(change))
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #updateNow(change: (record: SlotRecord) => SlotRecord): Promise<boolean> {
    const signal = AbortSignal.timeout(recordDeadlineMs)
    const { outcome } = await this.#lock.take(0, signal)
    if (outcome === 'busy' || outcome === 'fenced') return false
    const record = await this.#store.readRecord(this.#slot, signal)
    try {
      await this.#store.writeRecord(this.#slot, change(record), signal)
      return true
    } catch (error) {
      if (!(error instanceof ReprieveError && error.code === 'lineage-fenced')) throw error
      await this.#lock.confirm()
      return false
    }
  }
}
