/**
 * The turn of this pod in a slot. Two pods never run from one checkpoint, nor write one slot. A pod first takes a lock (flock(2)) on a file in
 * the store, which the kernel or the file server releases as soon as the pod dies; then it takes the next epoch of the slot, which ends the
 * turn of whoever had it (src/store/epochs.ts). The lock tells a waiting pod when to start, the epoch keeps the earlier pod from writing.
 *
 * A replacement often starts while the pod it replaces still takes its last checkpoint (Deployments, and Jobs by default, do not wait for the
 * old pod to end): it waits its turn. From a pod that gives no sign of life it takes the lineage over, even if the file server keeps the lock.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ChildProcess } from 'node:child_process'
import type { Deadline } from '../../src/deadline.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { Epoch, EpochState, Holder } from '../../src/store/epochs.ts'
import { sweeper } from '../../src/store/slot-survey.ts'
import type { EpochFile, OwnEpoch } from './epoch-file.ts'
import { HolderWatch } from './holder-watch.ts'
import type { LockOutcome } from './lock-outcome.ts'
import { lockFile, type Locked } from './lock-process.ts'
import { OneAtATime } from './one-at-a-time.ts'
import { busy, noteDeadlineMs, OtherHolder, type OtherHolderParts } from './other-holder.ts'
import { beatMsOf, waitForRunningMs, type Patience } from './patience.ts'
import { AnnouncedEnd, noteOf, readNote, writeNote, type Note } from './slot-note.ts'

const unanswered = { ...busy, holder: 'unknown: the store did not answer', unanswered: true } as const

/** A pod that ends gets its announced time and this much more. */
// @deadline Another pod of the lineage is being ended | Unprotected start, this long after the end it announced
const leaveGraceMs = 5_000
/** For taking an epoch: some small files, each synced, and a listing. */
const epochDeadlineMs = 10_000
/** For a sign of life before a container starts again, which waits for it. */
// @deadline The store writes nothing while a container starts again | The sidecar reads whose the lineage is
const beatPatienceMs = 2_000
const pauseMs = 250
/** A pod that has had the slot for less began together with those that wait: it beats fast, for them to see that it lives. */
const youngMs = 60_000
const youngBeatMs = 1_000

export type SlotLockParts = OtherHolderParts & {
  file: EpochFile
  log: EventLog
  /** Called when another pod has taken the slot from a running application. */
  fenced?: (holder: string) => void
  /** For tests. */
  times?: { beatMs?: number; silentMs?: number }
  launcher?: string
}

export class SlotLock {
  readonly #parts: SlotLockParts
  readonly #other: OtherHolder
  #process: ChildProcess | undefined
  #epoch: Epoch | undefined
  /** The epoch was taken without the lock. */
  #withoutLock = false
  #fencedBy: string | undefined
  #beats: NodeJS.Timeout | undefined
  #isBeating = false
  #mustConfirmAgain = false
  #saidCannotLock = false
  /** One try after another: of two at once, one would find the lock taken by the other. */
  readonly #tries = new OneAtATime()
  /** Of whoever has the slot, from one try to the next. */
  readonly #watch: HolderWatch

  constructor(parts: SlotLockParts) {
    this.#parts = parts
    this.#other = new OtherHolder(parts)
    this.#watch = new HolderWatch(parts.times?.silentMs)
  }

  get isTaken(): boolean {
    return this.#epoch !== undefined && (this.#process !== undefined || this.#withoutLock)
  }

  get status(): { epoch: number | undefined; fencedBy: string | undefined } {
    return { epoch: this.#epoch?.number, fencedBy: this.#fencedBy }
  }

  /**
   * Takes the slot, or names the pod that has it; `waitMs` 0 does not wait. A pod that has given no sign of life since an earlier try is
   * taken over: its lock may be kept for ever. Never rejects.
   */
  async take(waitMs: number, signal: AbortSignal): Promise<LockOutcome> {
    if (this.#fencedBy !== undefined) return { outcome: 'fenced', holder: this.#fencedBy }
    const outcome = await this.#take(waitMs, signal, false)
    if (outcome.outcome !== 'busy' || outcome.unanswered === true) return outcome
    const holder = await this.#other.writer(await this.#readNote())
    const isGone = holder !== undefined && this.#watch.look(holder, performance.now()) === 'gone'
    return isGone ? this.#takeOver(holder, signal) : outcome
  }

  /**
   * Takes the slot before the application starts, which will go on from what the slot has then. Waits its turn: for a pod that announces its
   * end until then, for any other pod that lives only `patienceMs`. A pod that does other work, as the old one in a rolling update, leaves
   * nothing to wait for.
   */
  async await(
    signal: AbortSignal,
    { patienceMs = waitForRunningMs, evenForOtherWork = false, besideSiblings = false }: Patience = {},
  ): Promise<LockOutcome> {
    this.#fencedBy = undefined
    const announced = new AnnouncedEnd()
    const watch = new HolderWatch(this.#parts.times?.silentMs)
    let until = performance.now() + patienceMs
    for (;;) {
      const lookMs = besideSiblings ? pauseMs : 1_000
      const outcome = await this.#take(Math.min(lookMs, Math.max(0, until - performance.now())), signal, true)
      if (outcome.outcome !== 'busy') return outcome
      if (outcome.otherWork !== undefined && !evenForOtherWork) return outcome
      const note = await this.#readNote()
      const announcedMs = announced.by(note, performance.now())
      until = Math.max(until, announcedMs + leaveGraceMs)
      const holder = await this.#other.writer(note)
      const judged = holder === undefined ? 'alive' : watch.look(holder, performance.now())
      if (holder !== undefined && judged === 'gone') return this.#takeOver(holder, signal)
      const isAlive =
        judged === 'alive' || (besideSiblings && holder !== undefined && this.#other.keepsLock(holder))
      // Each look may take seconds on a file server that waits for the dead node. The watch itself comes to an end.
      const isUnsure = !isAlive && patienceMs > 0
      const isSibling =
        besideSiblings && isAlive && announcedMs === 0 && (holder?.livedMs ?? youngMs) < youngMs
      if ((performance.now() >= until && !isUnsure) || isSibling || signal.aborted) return outcome
      await delay(pauseMs)
    }
  }

  /** Announces to waiting pods that this pod ends, and by when. */
  async leaving(deadline: Deadline): Promise<void> {
    const { outcome } = await this.take(0, AbortSignal.timeout(noteDeadlineMs))
    if (outcome === 'taken') await this.#note({ leavesBy: deadline.epochMs, leavesInMs: deadline.leftMs })
  }

  /** Frees the lock and keeps the epoch, which ends when another pod takes the slot. */
  release(): void {
    clearTimeout(this.#beats)
    this.#process?.stdin?.destroy()
    this.#process = undefined
    this.#withoutLock = false
  }

  /** This pod writes nothing more to the slot: a waiting one can start at once. */
  async leave(): Promise<void> {
    clearTimeout(this.#beats)
    const { store, slot, log } = this.#parts
    const { isTaken } = this
    // A beat under way, which finds the gate closed, says nothing of another pod.
    this.#epoch = undefined
    try {
      if (isTaken) await store.epochs.leave(slot, AbortSignal.timeout(epochDeadlineMs))
    } catch (error) {
      log.warn(
        { event: 'lineage.not_left', err: error },
        'the end of the claim on the lineage could not be said',
      )
    }
    this.release()
  }

  /** Asks the store whether the slot is still this pod's. */
  async confirm(): Promise<void> {
    if (this.#epoch === undefined) return
    // The beat under way may have been answered before what the caller has heard of.
    this.#mustConfirmAgain = this.#isBeating
    if (this.#isBeating) return
    const { store, slot } = this.#parts
    this.#isBeating = true
    try {
      // Without a deadline: a call that hangs is not followed by a second one, and a slow disk is no reason to refuse later calls.
      const epoch = await store.epochs.beat(slot, new AbortController().signal)
      // It may have left meanwhile.
      if (this.#epoch === undefined) return
      if (epoch.gate !== this.#epoch.gate) await this.#remember(epoch)
      if (this.#withoutLock && !this.#saidCannotLock) await this.#lockLater()
    } catch (error) {
      if (isFenced(error) && this.#epoch !== undefined) await this.#fencedFromApplication()
    } finally {
      this.#isBeating = false
    }
    if (this.#mustConfirmAgain) await this.confirm()
  }

  /** The file server frees the lock of a dead pod in the end. Whoever gets it is not waited for by the next pod unless this one has it. */
  async #lockLater(): Promise<void> {
    const locked = await this.#flock(await this.#lockFile(), 0, AbortSignal.timeout(noteDeadlineMs))
    if (locked.outcome === 'impossible') this.#cannotLock(locked.why)
    if (locked.outcome !== 'locked') return
    if (this.#epoch === undefined || !this.#withoutLock) locked.process.stdin?.destroy()
    else {
      this.#process = locked.process
      this.#withoutLock = false
      await this.#remember(this.#epoch)
      await this.#sayLocked()
    }
  }

  async #sayLocked(): Promise<void> {
    const { store, slot } = this.#parts
    const { lock } = this.#self(await this.#lockFile())
    await store.epochs.locked(slot, lock, AbortSignal.timeout(noteDeadlineMs))
  }

  #take(waitMs: number, signal: AbortSignal, isNewTurn: boolean): Promise<LockOutcome> {
    return this.#tries.run(() => this.#tryToTake(waitMs, signal, isNewTurn), signal, unanswered)
  }

  #flock(file: string, waitMs: number, signal: AbortSignal): Promise<Locked> {
    const ended = (process: ChildProcess) => this.#lost(process)
    return lockFile(file, waitMs, signal, { ended, launcher: this.#parts.launcher })
  }

  async #tryToTake(waitMs: number, signal: AbortSignal, isNewTurn: boolean): Promise<LockOutcome> {
    try {
      if (this.isTaken && (!isNewTurn || (await this.#isOurs(signal)))) return { outcome: 'taken' }
      const file = await this.#lockFile()
      const own = this.#epoch === undefined ? await this.#parts.file.read() : undefined
      if (this.#process === undefined) {
        const locked = await this.#flock(file, waitMs, signal)
        if (locked.outcome === 'unanswered') return unanswered
        if (locked.outcome === 'busy' && own?.withoutLock !== true) return await this.#other.named(file)
        if (locked.outcome === 'locked') this.#process = locked.process
        const living = await this.#other.maybeLiving(file, this.#process !== undefined)
        if (living !== undefined && locked.outcome !== 'busy') return await this.#passTo(file, living)
        if (locked.outcome === 'impossible') this.#cannotLock(locked.why)
      }
      return await this.#enter(own, isNewTurn)
    } catch (error) {
      // If the store does not answer, another pod may write there. If it refuses (read-only, for example), no pod can.
      if (isUnanswered(error)) return unanswered
      if (!isFenced(error)) return { outcome: 'unfenced', why: describeError(error) }
      this.release()
      return busy
    }
  }

  async #passTo(file: string, { holder: { pod } }: EpochState): Promise<LockOutcome> {
    this.release()
    const named = await this.#other.named(file)
    return named.holder === pod ? named : { ...busy, holder: pod, isNamed: true }
  }

  /** Whether the slot is still this pod's: it may have been cut off from the store for a while. @throws where the store does not answer */
  async #isOurs(signal: AbortSignal): Promise<boolean> {
    const { store, slot } = this.#parts
    const within = (ms: number) => AbortSignal.any([signal, AbortSignal.timeout(ms)])
    try {
      const epoch = await store.epochs.beat(slot, within(beatPatienceMs))
      if (epoch.gate !== this.#epoch?.gate) await this.#remember(epoch)
      return true
    } catch (error) {
      if (isUnanswered(error)) {
        // A store that is still writing a checkpoint lets no second write begin, and answers reads.
        const newest = await store.epochs.newest(slot, within(epochDeadlineMs))
        if (newest?.number === this.#epoch?.number) return true
      } else if (!isFenced(error)) throw error
      await this.#overtaken()
      this.#fencedBy = undefined
      return false
    }
  }

  #self(file: string): Holder {
    return this.#other.self(file, this.#process !== undefined)
  }

  #cannotLock(why: string): void {
    if (!this.#saidCannotLock)
      this.#parts.log.warn(
        { event: 'slot_lock.unavailable', why },
        'the store cannot lock: only epochs count',
      )
    this.#saidCannotLock = true
  }

  /** Continues the epoch of this pod, or takes the next one. */
  async #enter(own: OwnEpoch | undefined, isNewTurn: boolean): Promise<LockOutcome> {
    const { store, slot } = this.#parts
    const before = this.#epoch ?? own
    const signal = AbortSignal.timeout(epochDeadlineMs)
    const holder = this.#self(await this.#lockFile())
    const kept = before === undefined ? undefined : await store.epochs.resume(slot, before, holder, signal)
    if (kept === undefined && before !== undefined && !isNewTurn) {
      const holder = await this.#fencedFromApplication()
      return holder === undefined ? busy : { outcome: 'fenced', holder }
    }
    if (kept !== undefined && own?.withoutLock === true && this.#process !== undefined)
      await this.#sayLocked()
    return this.#begin(kept ?? (await store.epochs.take(slot, holder, signal)))
  }

  #takeOver(silent: EpochState, signal: AbortSignal): Promise<LockOutcome> {
    return this.#tries.run(() => this.#takeFrom(silent, signal), signal, unanswered)
  }

  async #takeFrom(silent: EpochState, signal: AbortSignal): Promise<LockOutcome> {
    if (this.isTaken) return { outcome: 'taken' }
    const { store, slot, log } = this.#parts
    try {
      const { pod, node } = silent.holder
      log.warn(
        { event: 'lineage.taken_over', holder: pod, node, epoch: silent.number },
        'the pod that has the lineage gives no sign of life: this one takes the lineage over',
      )
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(epochDeadlineMs)])
      return await this.#begin(
        await store.epochs.take(slot, this.#self(await this.#lockFile()), bounded, silent.number),
      )
    } catch (error) {
      return isFenced(error) ? busy : { outcome: 'unfenced', why: describeError(error) }
    }
  }

  async #begin(epoch: Epoch): Promise<LockOutcome> {
    this.#withoutLock = this.#process === undefined
    await this.#remember(epoch)
    this.#beat(performance.now())
    await this.#note({})
    return { outcome: 'taken' }
  }

  #beat(beganMs: number): void {
    clearTimeout(this.#beats)
    const isYoung = performance.now() - beganMs < youngMs
    const beat = () => {
      if (!this.#isBeating) void this.confirm()
      this.#beat(beganMs)
    }
    const usualMs = isYoung ? youngBeatMs : beatMsOf(this.#parts.slot.lineage)
    this.#beats = setTimeout(beat, this.#parts.times?.beatMs ?? usualMs).unref()
  }

  async #remember(epoch: Epoch): Promise<void> {
    this.#epoch = epoch
    const { file, log } = this.#parts
    await file
      .write({ ...epoch, withoutLock: this.#withoutLock })
      .catch((error: unknown) =>
        log.warn({ event: 'lineage.not_noted', err: error }, 'the epoch could not be noted in the pod'),
      )
  }

  /** The application runs on, without protection. @returns the pod that has the slot, undefined after a sweep */
  async #fencedFromApplication(): Promise<string | undefined> {
    const holder = await this.#overtaken()
    if (holder !== undefined) this.#parts.fenced?.(holder)
    return holder
  }

  /** Another pod has the slot, or a sweep. @returns the name of that pod */
  async #overtaken(): Promise<string | undefined> {
    const { store, slot, log } = this.#parts
    const newest = await store.epochs.newest(slot, AbortSignal.timeout(noteDeadlineMs)).catch(() => null)
    this.#epoch = undefined
    this.release()
    if (newest === undefined || newest?.holder.uid === sweeper.uid) {
      log.warn(
        { event: 'lineage.swept' },
        'a sweep removes the slot: this pod takes it again when it needs it',
      )
      return undefined
    }
    const holder = newest?.holder.pod || busy.holder
    this.#fencedBy = holder
    log.error(
      { event: 'lineage.fenced', holder, epoch: newest?.number },
      'another pod has taken the lineage: the application goes on unprotected',
    )
    return holder
  }

  async #readNote(): Promise<Note | undefined> {
    const file = await this.#lockFile().catch(() => undefined)
    return file === undefined ? undefined : readNote(file, noteDeadlineMs)
  }

  #lockFile(): Promise<string> {
    return this.#parts.store.lockFile(this.#parts.slot, AbortSignal.timeout(noteDeadlineMs))
  }

  /** The process that had the lock ended: the sidecar takes the lock again before it writes the next checkpoint. */
  #lost(process: ChildProcess): void {
    if (this.#process !== process) return
    this.#process = undefined
    this.#parts.log.warn({ event: 'slot_lock.lost' }, 'the claim on the lineage was lost')
  }

  /** For people and for waiting pods; the lock itself is the kernel's. */
  async #note(more: Pick<Note, 'leavesBy' | 'leavesInMs'>): Promise<void> {
    const { identity, work, log } = this.#parts
    try {
      await writeNote(await this.#lockFile(), noteOf(identity, work, more), noteDeadlineMs)
    } catch (error) {
      log.warn({ event: 'slot_lock.not_signed', err: error }, 'the claim on the lineage could not be signed')
    }
  }
}

function isUnanswered(error: unknown): boolean {
  return error instanceof ReprieveError && error.data.aborted === true
}

function isFenced(error: unknown): boolean {
  return error instanceof ReprieveError && error.code === 'lineage-fenced'
}
