/**
 * The checkpoints of one container. The triggers ask for them and the queue orders the requests. Listeners hear when CRIU has stopped the
 * application and when CRIU resumes it. A resumed application runs while its checkpoint is being stored.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { obstacleOf } from '../../src/dump-obstacles.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Deadline } from '../../src/deadline.ts'
import type { EventLog } from '../../src/log.ts'
import type { Slot } from '../../src/manifest.ts'
import type { OutcomeOf } from '../../src/outcome.ts'
import { ttlMsOf, type ContainerPlan } from '../../src/pod-plan.ts'
import { takeCheckpoint } from '../checkpoint/checkpoint.ts'
import { passedOver, type CheckpointOutcome, type CheckpointRequest } from '../checkpoint/request.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { noteEnded } from '../lineage/ended-note.ts'
import { NamespaceSweep } from '../lineage/namespace-sweep.ts'
import type { SlotLock } from '../lineage/slot-lock.ts'
import { launcherHashOf } from '../proc/process-tree.ts'
import { vitalsOf } from '../proc/vitals.ts'
import { lineageBusy } from '../restore/preparation.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { CheckpointQueue, type Situation } from './queue.ts'
import { doingOf, type ContainerEvent, type ContainerState, type Doing, type Effect, type CriuPhase } from './state.ts' // prettier-ignore

export type ContainerCheckpointsParts = {
  around: Surroundings
  plan: ContainerPlan
  lock: SlotLock
  log: EventLog
  state: () => ContainerState
  dispatch: (event: ContainerEvent) => void
  /** The version of the launcher that spoke last. */
  launcher: () => string
  /** Called when `doing` has changed without an event, after the listeners. */
  moved: () => void
  /** For tests. */
  takeOne?: typeof takeCheckpoint
}

type Take = Effect & { do: 'take' }
type Taken = {
  outcome: OutcomeOf<CheckpointOutcome, 'taken'>
  slot: Slot
  generation: string | undefined
}

/** A store that hangs does not even say that it was told to stop. */
const stopStoringMs = 5_000
/** Time to remove some large files from a slow file server. */
const pruneDeadlineMs = 60_000

export class ContainerCheckpoints {
  readonly #parts: ContainerCheckpointsParts
  readonly #queue: CheckpointQueue
  readonly #sweep: NamespaceSweep
  #stoppedListeners: (() => Promise<void>)[] = []
  #resumingListeners: (() => void)[] = []
  #criuPhase: CriuPhase = 'not-yet'
  /** By `performance.now()`. */
  #stoppedMs = 0
  /** Answers the queue, which began the checkpoint. */
  #over: (outcome: CheckpointOutcome) => void = () => undefined
  #breakOff = new AbortController()
  /** Resolves when the checkpoint under way is stored, or has failed. */
  #stored: Promise<unknown> = Promise.resolve()
  /** The checkpoint that ended the application, while its container is kept open. */
  #endedWith: CheckpointOutcome | undefined
  #last: CheckpointOutcome | undefined
  /** Resolves when the old checkpoints are removed, or the deadline has passed. */
  #pruned: Promise<unknown> = Promise.resolve()

  constructor(parts: ContainerCheckpointsParts) {
    this.#parts = parts
    this.#sweep = new NamespaceSweep(parts.around.store, parts.around.podPlan, parts.log)
    this.#queue = new CheckpointQueue({
      situation: () => this.#situation(),
      begin: (request) => this.#begin(request),
      breakOff: () => this.#breakOff.abort(),
    })
  }

  /** The outcome of the newest request. */
  get last(): CheckpointOutcome | undefined {
    return this.#last
  }

  get doing(): Doing {
    return doingOf(this.#parts.state(), this.#criuPhase, this.#queue.isStoring)
  }

  /** Resolves with the outcome by the request's deadline. */
  async ask(request: CheckpointRequest): Promise<CheckpointOutcome> {
    const outcome = await this.#queue.ask(request)
    if (outcome.outcome === 'taken' || outcome.reason !== passedOver) this.#last = outcome
    return outcome
  }

  /** To be called after each event: a request may wait for a change of the container. */
  changed(): void {
    this.#queue.look()
  }

  /** Calls back whenever CRIU has stopped every task of the application, for whichever checkpoint. */
  whenStopped(stopped: () => Promise<void>): void {
    this.#stoppedListeners.push(stopped)
  }

  /** Calls back just before CRIU resumes an application, for whichever checkpoint. */
  whenResuming(resuming: () => void): void {
    this.#resumingListeners.push(resuming)
  }

  /** Stops the storing of a checkpoint after the work is done. Resolves when nothing is being written, or after `mostMs`. */
  async stopStoring(mostMs: number): Promise<void> {
    this.#breakOff.abort()
    await Promise.race([this.#stored, delay(mostMs, undefined, { ref: false })])
  }

  /** The application ended while its checkpoint was being stored: it is the newest to restore. Resolves when it is stored, or broken off after `mostMs`. */
  async storedWithin(mostMs: number): Promise<void> {
    await Promise.race([this.#stored, delay(mostMs, undefined, { ref: false })])
    await this.stopStoring(stopStoringMs)
  }

  /** Resolves when no checkpoint is being stored. */
  async settled(): Promise<void> {
    await this.#stored
  }

  refuse({ reason }: Effect & { do: 'refuse' }): void {
    const detail = reason === 'pod-ending' ? 'the pod was told to end' : 'the application does not run'
    this.#over({ outcome: 'failed', reason, detail })
  }

  /** Resolves as soon as the application runs again, or has ended with its checkpoint. */
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
    return at === 'kept-open' && this.#endedWith !== undefined
      ? { endedWith: this.#endedWith }
      : 'not-running'
  }

  #begin(request: CheckpointRequest): Promise<CheckpointOutcome> {
    const over = Promise.withResolvers<CheckpointOutcome>()
    this.#over = over.resolve
    // The checkpoint may wait for an earlier effect: until it begins, the phase of the last checkpoint must not count for it.
    this.#criuPhase = 'not-yet'
    this.#parts.dispatch({ event: 'asked', request })
    return over.promise
  }

  async #take(effect: Take, dumped: () => void): Promise<Taken | { outcome: CheckpointOutcome }> {
    const { around, plan, dispatch, log } = this.#parts
    const { root, request } = effect
    const { signal } = this.#breakOff
    try {
      return await this.#complete(effect, dumped)
    } catch (error) {
      this.#resuming()
      const reason = obstacleOf(error) ?? (error as { code?: string }).code ?? 'dump-failed'
      if (reason === 'lineage-fenced') void this.#parts.lock.confirm()
      const about = { err: error, trigger: request.trigger }
      if (signal.aborted)
        log.info({ event: 'checkpoint.broken_off', ...about }, 'the storing of a checkpoint was broken off')
      else {
        log.error(
          { event: 'checkpoint.failed', ...about },
          'no checkpoint was taken: the application goes on',
        )
        const detail = `trigger ${request.trigger}: ${describeError(error)}`
        around.events.tell({ reason: 'CheckpointFailed', container: plan.name, code: reason, detail })
      }
      dispatch({ event: 'failed', root })
      return { outcome: { outcome: 'failed', reason, detail: describeError(error) } }
    }
  }

  async #complete({ launcherPid, root, request }: Take, dumped: () => void): Promise<Taken> {
    const { around, plan, log, dispatch, launcher: lastLauncher, takeOne = takeCheckpoint } = this.#parts // prettier-ignore
    const launcher = (await launcherHashOf(root)) ?? lastLauncher()
    // In parallel and not awaited: it takes milliseconds, and a checkpoint must not wait for a read that hangs.
    let memoryBytes: number | undefined
    void vitalsOf(root).then((vitals) => (memoryBytes = vitals?.memoryBytes), () => undefined) // prettier-ignore
    await this.#requireLock(request.deadline)
    const target = { plan, launcherPid, launcher, root }
    const {
      manifest,
      ended,
      phases,
      cpuMs,
      connections,
      leftOut = [],
    } = await takeOne(around, target, request, {
      stopped: () => this.#stopped(request),
      resuming: () => this.#resuming(),
      storing: () => {
        this.#queue.storing()
        dispatch({ event: 'dumped', root })
        dumped()
      },
      breakOff: this.#breakOff.signal,
    })
    const { id, totalBytes, trigger, reason } = manifest
    log.info(
      { event: 'checkpoint.taken', checkpoint: id, trigger, reason, ended, totalBytes, ...phases },
      'a checkpoint was taken',
    )
    around.events.saved(
      { reason: 'CheckpointTaken', container: plan.name, code: trigger, detail: `trigger ${trigger}` },
      { id, atMs: Date.parse(manifest.createdAt) },
    )
    if (leftOut.length > 0)
      log.warn(
        { event: 'checkpoint.left_out', checkpoint: id, processes: leftOut },
        'processes that exec or postStart began are not in the checkpoint',
      )
    const outcome: Taken['outcome'] = { outcome: 'taken', id, phases, ended, stoppedMs: this.#stoppedMs, bytes: totalBytes, cpuMs, memoryBytes, connections, ...(leftOut.length > 0 ? { leftOut } : {}) } // prettier-ignore
    if (ended) this.#endedWith = outcome
    // Where no probe fails, another cause restarts the container, and the process is healthy: a changed image, or a postStart hook that failed.
    if (ended && request.byHook === true && plan.probed === true) await noteEnded(plan.name, id)
    dispatch({ event: 'taken', root, ended, checkpoint: id })
    return { outcome, slot: manifest.slot, generation: manifest.generation?.id }
  }

  /** After a checkpoint that ended the application, a waiting replacement can start as soon as this is done. */
  async #tidy({ slot, generation, outcome: { id, ended } }: Taken): Promise<void> {
    const { lock, log, plan } = this.#parts
    await markCheckpoint(plan.name, id, log)
    this.#pruned = Promise.all([this.#pruned, this.#prune(slot, generation)])
    if (ended !== true) return
    await this.#pruned
    // The sidecar writes nothing more to the slot.
    await lock.leave()
  }

  /**
   * The next checkpoint does not wait for this one: its application may have a full memory, which is throttled for seconds only. Nor does
   * it abort this: a removal that hangs cannot be aborted, and later calls would wait for it in the store.
   */
  async #prune(slot: Slot, generation: string | undefined): Promise<void> {
    const { around, log } = this.#parts
    try {
      const own = { ttlMs: ttlMsOf(around.podPlan), ...(generation === undefined ? {} : { generation }) }
      await around.store.prune(slot, around.podPlan.keep, AbortSignal.timeout(pruneDeadlineMs), own)
      void this.#sweep.sweep()
    } catch (error) {
      log.warn({ event: 'checkpoint.not_pruned', err: error }, 'old checkpoints were not removed')
    }
  }

  async #stopped(request: CheckpointRequest): Promise<void> {
    this.#criuPhase = 'now'
    this.#stoppedMs = performance.now()
    for (const stopped of [request.stopped, ...this.#stoppedListeners]) await stopped?.()
    this.#parts.moved()
  }

  #resuming(): void {
    if (this.#criuPhase !== 'now') return
    this.#criuPhase = 'over'
    for (const resuming of this.#resumingListeners) resuming()
    this.#parts.moved()
  }

  /** @throws ReprieveError `lineage-busy` or `lineage-fenced`: two pods of one lineage must not store checkpoints in turns */
  async #requireLock(deadline: Deadline): Promise<void> {
    const outcome = await this.#parts.lock.take(0, deadline.signal())
    if (outcome.outcome === 'fenced')
      throw new ReprieveError('lineage-fenced', `pod ${outcome.holder} has taken the lineage from this one`, {
        holder: outcome.holder,
      })
    if (outcome.outcome === 'busy') {
      const { detail, reason } = lineageBusy(outcome)
      throw new ReprieveError('lineage-busy', detail, { reason, holder: outcome.holder })
    }
  }
}
