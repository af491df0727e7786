/** The other pods of a slot, as a pod sees them that wants it: who writes there, what it does, and whether it may live. */
import type { Slot } from '../../src/manifest.ts'
import type { EpochState, Holder } from '../../src/store/epochs.ts'
import { sweeper } from '../../src/store/slot-survey.ts'
import type { Store } from '../../src/store/store.ts'
import { differencesOf, type OwnWork } from '../../src/work.ts'
import type { Identity } from '../setup/surroundings.ts'
import { locksAreLocal } from './local-locks.ts'
import type { LockOutcome } from './lock-outcome.ts'
import { readNote, type Note } from './slot-note.ts'

/** For reading or writing a note of a hundred bytes. */
export const noteDeadlineMs = 5_000

export const busy = { outcome: 'busy', holder: 'another pod', isNamed: false } as const

export type OtherHolderParts = {
  store: Pick<Store, 'lockFile' | 'epochs'>
  slot: Slot
  identity: Identity
  /** What this pod does in the slot. */
  work?: OwnWork
  /** For tests. */
  areLocksLocal?: (file: string) => boolean
}

export class OtherHolder {
  readonly #parts: OtherHolderParts
  readonly #areLocksLocal: (file: string) => boolean

  constructor(parts: OtherHolderParts) {
    this.#parts = parts
    this.#areLocksLocal = parts.areLocksLocal ?? locksAreLocal
  }

  /**
   * The writer of the slot, if it is another pod, and the one that the lock's note names: a pod of an earlier release has no beat. Or a sweep,
   * which signs no note: one that was killed shows no sign of life, and is taken over as a pod is.
   */
  async writer(note: Note | undefined): Promise<EpochState | undefined> {
    const { store, slot, identity } = this.#parts
    const newest = await store.epochs.newest(slot, AbortSignal.timeout(noteDeadlineMs)).catch(() => undefined)
    const isOther = newest !== undefined && newest.holder.uid !== identity.uid
    const isNamed = note === undefined || [note.uid, sweeper.uid].includes(newest?.holder.uid ?? '')
    return isOther && isNamed ? newest : undefined
  }

  /**
   * The other writer, where the lock does not say that it is gone: this pod has no lock, or the mount of one of the two keeps locks to its
   * node, or the other one took the slot from a silent pod whose lock the server kept until now.
   */
  async maybeLiving(file: string, isLocked: boolean): Promise<EpochState | undefined> {
    const other = await this.writer(undefined)
    if (other?.beat === undefined) return undefined
    const { lock, node } = other.holder
    const isOfOwnNode = node !== '' && node === this.#parts.identity.node
    const isProof = isOfOwnNode ? lock !== 'none' : lock === undefined && !this.#areLocksLocal(file)
    return isLocked && isProof ? undefined : other
  }

  /** Whether the kernel keeps the lock for a pod of this node, which has the slot: that pod lives. */
  keepsLock({ holder: { node, lock } }: EpochState): boolean {
    return node !== '' && node === this.#parts.identity.node && lock !== 'none'
  }

  /** The pod that the lock's note names. */
  async named(file: string): Promise<LockOutcome & { outcome: 'busy' }> {
    const note = await readNote(file, noteDeadlineMs)
    // A note of this pod itself is old: the pod that has the lock has not written its own yet.
    const isNamed = note !== undefined && note.uid !== this.#parts.identity.uid
    if (!isNamed) return busy
    const own = this.#parts.work
    const { work = own } = note
    const otherWork = work === undefined || own === undefined ? [] : differencesOf(work, own)
    return { ...busy, holder: note.pod, isNamed, ...(otherWork.length === 0 ? {} : { otherWork }) }
  }

  /** How this pod enters the slot: others learn what its lock is worth. */
  self(file: string, isLocked: boolean): Holder {
    const { name: pod, uid, node } = this.#parts.identity
    if (!isLocked) return { pod, uid, node, lock: 'none' }
    return { pod, uid, node, ...(this.#areLocksLocal(file) ? { lock: 'node' } : {}) }
  }
}
