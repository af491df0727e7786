/**
 * The checkpoints of one container: asked for by triggers, taken one after another when the container's turn comes, and told of to whoever
 * must know when CRIU holds the application and when it lets go.
 */
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { Slot } from '../../src/manifest.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { AskedCheckpoints, type CheckpointOutcome } from './asked-checkpoints.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { takeCheckpoint } from '../checkpoint/checkpoint.ts'
import type { CheckpointRequest } from '../checkpoint/request.ts'
import { doingOf, type ContainerEvent, type ContainerState, type Doing, type Effect, type Hold } from './state.ts' // prettier-ignore
import { lineageBusy } from '../restore/preparation.ts'
import { launcherHashOf } from '../proc/process-tree.ts'
import type { SlotClaim } from '../lineage/slot-claim.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { vitalsOf } from '../proc/vitals.ts'

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

/** Some large files on a slow file server. */
const pruneDeadlineMs = 60_000

export class ContainerCheckpoints {
  readonly #parts: ContainerCheckpointsParts
  readonly #asked: AskedCheckpoints
  #heldListeners: (() => Promise<void>)[] = []
  #goingOnListeners: (() => void)[] = []
  #criuHolds: Hold = 'not-yet'
  /** What the application was ended with that is held. */
  #heldFor: CheckpointOutcome | undefined
  #last: CheckpointOutcome | undefined
  /** Once all that is old has been removed, or its time was over. */
  #pruned: Promise<unknown> = Promise.resolve()

  constructor(parts: ContainerCheckpointsParts) {
    this.#parts = parts
    this.#asked = new AskedCheckpoints((request) => parts.dispatch({ event: 'asked', request }))
  }

  /** What became of the newest that was asked for. */
  get last(): CheckpointOutcome | undefined {
    return this.#last
  }

  get doing(): Doing {
    return doingOf(this.#parts.state(), this.#criuHolds)
  }

  /** After one that is under way. Resolves by the request's deadline with what became of it. */
  async ask(request: CheckpointRequest): Promise<CheckpointOutcome> {
    // It was ended for one already, by a notice before the pod's end.
    if (this.#parts.state().at === 'held' && request.afterwards === 'end' && this.#heldFor !== undefined)
      return this.#heldFor
    const outcome = await this.#asked.ask(request)
    return (this.#last = this.#endedMeanwhile(request, outcome) ?? outcome)
  }

  /** What it waited for was another one that ended the application: that is its checkpoint, too. */
  #endedMeanwhile(request: CheckpointRequest, outcome: CheckpointOutcome): CheckpointOutcome | undefined {
    const isNotRunning = outcome.outcome === 'failed' && outcome.reason === 'not-running'
    const isHeld = this.#parts.state().at === 'held'
    return isNotRunning && isHeld && request.afterwards === 'end' ? this.#heldFor : undefined
  }

  /** Its turn is to come: behind what is done for the container already, so that CRIU's last hold must not count for it. */
  toBeTaken(): void {
    this.#criuHolds = 'not-yet'
  }

  refuse({ request, reason }: Effect & { do: 'refuse' }): void {
    this.#asked.answer(request, { outcome: 'failed', reason, detail: reason })
  }

  /** Calls back whenever CRIU holds every task of the application, for whichever checkpoint. */
  whenHeld(held: () => Promise<void>): void {
    this.#heldListeners.push(held)
  }

  /** Calls back just before CRIU lets go of an application that goes on, for whichever checkpoint. */
  whenGoingOn(goingOn: () => void): void {
    this.#goingOnListeners.push(goingOn)
  }

  async take({ launcherPid, root, request }: Effect & { do: 'take' }): Promise<void> {
    const {
      around,
      plan,
      claim,
      log,
      dispatch,
      launcher: lastLauncher,
      takeOne = takeCheckpoint,
    } = this.#parts
    try {
      const launcher = (await launcherHashOf(root)) ?? lastLauncher()
      // Beside what comes before the freeze, and not waited for: it takes milliseconds, and what hangs here must not hold a checkpoint.
      let memoryBytes: number | undefined
      void vitalsOf(root).then((vitals) => (memoryBytes = vitals?.memoryBytes), () => undefined) // prettier-ignore
      await this.#requireClaim(request.deadline)
      const { manifest, ended, phases, cpuMs } = await takeOne(
        around,
        { plan, launcherPid, launcher, root },
        { ...request, held: () => this.#held(request), goingOn: () => this.#goingOn() },
      )
      const { id, totalBytes, trigger, reason } = manifest
      log.info({ checkpoint: id, trigger, reason, ended, totalBytes, ...phases }, 'a checkpoint was taken')
      dispatch({ event: 'taken', root, ended, checkpoint: id })
      const outcome: CheckpointOutcome = { outcome: 'taken', id, phases, bytes: totalBytes, cpuMs, memoryBytes } // prettier-ignore
      this.#heldFor = ended ? outcome : undefined
      this.#asked.answer(request, outcome)
      await markCheckpoint(plan.name, id, log)
      this.#pruned = Promise.all([this.#pruned, this.#prune(manifest.slot)])
      if (!ended) return
      await this.#pruned
      // Nothing more is written: the replacement, which may be waiting, can go on.
      claim.release()
    } catch (error) {
      this.#goingOn()
      const reason = (error as { code?: string }).code ?? 'dump-failed'
      log.error({ err: error, trigger: request.trigger }, 'no checkpoint was taken: the application goes on')
      dispatch({ event: 'failed', root })
      this.#asked.answer(request, { outcome: 'failed', reason, detail: describeError(error) })
    }
  }

  /**
   * Nobody waits for it behind one that goes on: its next checkpoint may be of a full memory, that stands still for seconds only. It is not cut short for
   * that: a removal that hangs cannot be, and would keep whatever comes after it waiting in the store.
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
    for (const held of [request.held, ...this.#heldListeners]) await held?.()
  }

  #goingOn(): void {
    if (this.#criuHolds !== 'now') return
    this.#criuHolds = 'over'
    for (const goingOn of this.#goingOnListeners) goingOn()
  }

  /** @throws ReprieveError `lineage-busy`: what another pod of the lineage has stored is not to be mixed with this one's. */
  async #requireClaim(deadline: number): Promise<void> {
    const { claim } = this.#parts
    const outcome = await claim.take(0, AbortSignal.timeout(Math.max(1, deadline - Date.now())))
    if (outcome.outcome === 'busy') {
      const { detail, reason } = lineageBusy(outcome.holder)
      throw new ReprieveError('lineage-busy', detail, { reason, holder: outcome.holder })
    }
  }
}
