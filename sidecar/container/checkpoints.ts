/**
 * The checkpoints of one container: triggers ask for them, the queue says whose turn it is, and whoever must know hears when CRIU has stopped the
 * application and when it runs on. An application that goes on runs as soon as it is dumped: its checkpoint is stored beside all else that is done.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { obstacleOf } from '../../src/dump-obstacles.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Deadline } from '../../src/deadline.ts'
import type { Log } from '../../src/log.ts'
import type { Slot } from '../../src/manifest.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { takeCheckpoint } from '../checkpoint/checkpoint.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../checkpoint/request.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import type { SlotClaim } from '../lineage/slot-claim.ts'
import { launcherHashOf } from '../proc/process-tree.ts'
import { vitalsOf } from '../proc/vitals.ts'
import { lineageBusy } from '../restore/preparation.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { CheckpointQueue, type Situation } from './queue.ts'
import { doingOf, type ContainerEvent, type ContainerState, type Doing, type Effect, type Hold } from './state.ts' // prettier-ignore

export type ContainerCheckpointsParts = {
  around: Surroundings
  plan: ContainerPlan
  claim: SlotClaim
  log: Log
  state: () => ContainerState
  dispatch: (event: ContainerEvent) => void
  /** The version of the launcher that was heard last. */
  launcher: () => string
  /** For tests. */
  takeOne?: typeof takeCheckpoint
}

type Take = Effect & { do: 'take' }
type Taken = { outcome: CheckpointOutcome & { outcome: 'taken' }; slot: Slot }

/** Some large files on a slow file server. */
const pruneDeadlineMs = 60_000

export class ContainerCheckpoints {
  readonly #parts: ContainerCheckpointsParts
  readonly #queue: CheckpointQueue
  #heldListeners: (() => Promise<void>)[] = []
  #goingOnListeners: (() => void)[] = []
  #criuHolds: Hold = 'not-yet'
  /** By `performance.now()`. */
  #stoppedMs = 0
  /** Answers the queue, which has begun one. */
  #over: (outcome: CheckpointOutcome) => void = () => undefined
  #breakOff = new AbortController()
  /** Once the checkpoint that is being stored is, or is not. */
  #stored: Promise<unknown> = Promise.resolve()
  /** What the application was ended with whose container is kept open. */
  #endedWith: CheckpointOutcome | undefined
  #last: CheckpointOutcome | undefined
  /** Once all that is old has been removed, or its time was over. */
  #pruned: Promise<unknown> = Promise.resolve()

  constructor(parts: ContainerCheckpointsParts) {
    this.#parts = parts
    this.#queue = new CheckpointQueue({
      situation: () => this.#situation(),
      begin: (request) => this.#begin(request),
      breakOff: () => this.#breakOff.abort(),
    })
  }

  /** What became of the newest that was asked for. */
  get last(): CheckpointOutcome | undefined {
    return this.#last
  }

  get doing(): Doing {
    return doingOf(this.#parts.state(), this.#criuHolds, this.#queue.isStoring)
  }

  /** Resolves by the request's deadline with what became of it. */
  async ask(request: CheckpointRequest): Promise<CheckpointOutcome> {
    return (this.#last = await this.#queue.ask(request))
  }

  /** To be called after each event: requests may wait for what has changed. */
  changed(): void {
    this.#queue.look()
  }

  /** Calls back whenever CRIU has stopped every task of the application, for whichever checkpoint. */
  whenHeld(held: () => Promise<void>): void {
    this.#heldListeners.push(held)
  }

  /** Calls back just before CRIU lets an application run that goes on, for whichever checkpoint. */
  whenGoingOn(goingOn: () => void): void {
    this.#goingOnListeners.push(goingOn)
  }

  /** What is being stored is not wanted any more: the work is done. Resolves when nothing is written, or after `mostMs`. */
  async stopStoring(mostMs: number): Promise<void> {
    this.#breakOff.abort()
    await Promise.race([this.#stored, delay(mostMs, undefined, { ref: false })])
  }

  /** Resolves when no checkpoint is being stored. */
  async settled(): Promise<void> {
    await this.#stored
  }

  refuse({ reason }: Effect & { do: 'refuse' }): void {
    this.#over({ outcome: 'failed', reason, detail: 'the application does not run' })
  }

  /** Resolves as soon as the application runs on, or is ended with its checkpoint. */
  async take(effect: Take): Promise<void> {
    const dumped = Promise.withResolvers<void>()
    const over = this.#over
    this.#breakOff = new AbortController()
    this.#stored = this.#takeAndTidy(effect, dumped.resolve, over).finally(dumped.resolve)
    await dumped.promise
  }

  async #takeAndTidy(
    effect: Take,
    dumped: () => void,
    over: (outcome: CheckpointOutcome) => void,
  ): Promise<void> {
    const done = await this.#take(effect, dumped)
    over(done.outcome)
    if ('slot' in done) await this.#tidy(done)
  }

  #situation(): Situation {
    const { at } = this.#parts.state()
    if (at === 'running' || at === 'checkpointing') return at
    return at === 'held' && this.#endedWith !== undefined ? { endedWith: this.#endedWith } : 'not-running'
  }

  #begin(request: CheckpointRequest): Promise<CheckpointOutcome> {
    const over = Promise.withResolvers<CheckpointOutcome>()
    this.#over = over.resolve
    // It may have to wait behind what is done for the container already: what CRIU held before must not count for it.
    this.#criuHolds = 'not-yet'
    this.#parts.dispatch({ event: 'asked', request })
    return over.promise
  }

  async #take(effect: Take, dumped: () => void): Promise<Taken | { outcome: CheckpointOutcome }> {
    const { dispatch, log } = this.#parts
    const { root, request } = effect
    const { signal } = this.#breakOff
    try {
      return await this.#complete(effect, dumped)
    } catch (error) {
      this.#goingOn()
      const reason = obstacleOf(error) ?? (error as { code?: string }).code ?? 'dump-failed'
      const about = { err: error, trigger: request.trigger }
      if (signal.aborted) log.info(about, 'the storing of a checkpoint was broken off')
      else log.error(about, 'no checkpoint was taken: the application goes on')
      dispatch({ event: 'failed', root })
      return { outcome: { outcome: 'failed', reason, detail: describeError(error) } }
    }
  }

  async #complete({ launcherPid, root, request }: Take, dumped: () => void): Promise<Taken> {
    const { around, plan, log, dispatch, launcher: lastLauncher, takeOne = takeCheckpoint } = this.#parts // prettier-ignore
    const launcher = (await launcherHashOf(root)) ?? lastLauncher()
    // Beside what comes before the freeze, and not waited for: it takes milliseconds, and what hangs here must not keep a checkpoint waiting.
    let memoryBytes: number | undefined
    void vitalsOf(root).then((vitals) => (memoryBytes = vitals?.memoryBytes), () => undefined) // prettier-ignore
    await this.#requireClaim(request.deadline)
    const target = { plan, launcherPid, launcher, root }
    const { manifest, ended, phases, cpuMs } = await takeOne(around, target, request, {
      held: () => this.#held(request),
      goingOn: () => this.#goingOn(),
      storing: () => {
        this.#queue.storing()
        dispatch({ event: 'dumped', root })
        dumped()
      },
      breakOff: this.#breakOff.signal,
    })
    const { id, totalBytes, trigger, reason } = manifest
    log.info({ checkpoint: id, trigger, reason, ended, totalBytes, ...phases }, 'a checkpoint was taken')
    const outcome: Taken['outcome'] = { outcome: 'taken', id, phases, ended, stoppedMs: this.#stoppedMs, bytes: totalBytes, cpuMs, memoryBytes } // prettier-ignore
    if (ended) this.#endedWith = outcome
    dispatch({ event: 'taken', root, ended, checkpoint: id })
    return { outcome, slot: manifest.slot }
  }

  /** After a checkpoint that ended the application, a replacement that may be waiting can go on as soon as this is over. */
  async #tidy({ slot, outcome: { id, ended } }: Taken): Promise<void> {
    const { claim, log, plan } = this.#parts
    await markCheckpoint(plan.name, id, log)
    this.#pruned = Promise.all([this.#pruned, this.#prune(slot)])
    if (ended !== true) return
    await this.#pruned
    // Nothing more is written.
    claim.release()
  }

  /**
   * Nobody waits for it behind one that goes on: its next checkpoint may be of a full memory, that is throttled for seconds only. It is not cut short
   * for that: a removal that hangs cannot be, and would keep whatever comes after it waiting in the store.
   */
  async #prune(slot: Slot): Promise<void> {
    const { around, log } = this.#parts
    try {
      await around.store.prune(slot, around.podPlan.keep, AbortSignal.timeout(pruneDeadlineMs))
    } catch (error) {
      log.warn({ err: error }, 'old checkpoints were not removed')
    }
  }

  async #held(request: CheckpointRequest): Promise<void> {
    this.#criuHolds = 'now'
    this.#stoppedMs = performance.now()
    for (const held of [request.held, ...this.#heldListeners]) await held?.()
  }

  #goingOn(): void {
    if (this.#criuHolds !== 'now') return
    this.#criuHolds = 'over'
    for (const goingOn of this.#goingOnListeners) goingOn()
  }

  /** @throws ReprieveError `lineage-busy`: what another pod of the lineage has stored is not to be mixed with this one's. */
  async #requireClaim(deadline: Deadline): Promise<void> {
    const outcome = await this.#parts.claim.take(0, deadline.signal())
    if (outcome.outcome === 'busy') {
      const { detail, reason } = lineageBusy(outcome.holder)
      throw new ReprieveError('lineage-busy', detail, { reason, holder: outcome.holder })
    }
  }
}
