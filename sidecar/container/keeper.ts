/**
 * One protected container: gives the events of its launcher (container-launcher.ts) and of the triggers to the reducer (state.ts), and
 * carries out the effects one after another. checkpoints.ts takes the checkpoints, preparation.ts the restores.
 */
import type { EventLog } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import { archiveBytes } from '../checkpoint/archive-size.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../checkpoint/request.ts'
import { Deadline } from '../../src/deadline.ts'
import { answerGraceMs } from './queue.ts'
import { ContainerCheckpoints } from './checkpoints.ts'
import { ContainerLauncher } from './container-launcher.ts'
import { ContainerPreparation, type PreparationStatus } from './preparation.ts'
import { newContainer, reduce, type Container, type ContainerEvent, type ContainerState, type Doing, type Effect, type EndKeptOpen } from './state.ts' // prettier-ignore
import type { FromLauncher } from '../launcher-socket/launcher-messages.ts'
import type { LauncherConnection } from '../launcher-socket/launcher-server.ts'
import { LauncherTalk } from '../launcher-socket/launcher-talk.ts'
import { clearFetched } from '../restore/fetched.ts'
import { lockOf } from '../restore/preparation.ts'
import { isAlive, lifeOf as lifeOfProcess } from '../proc/process-tree.ts'
import type { SlotLock } from '../lineage/slot-lock.ts'
import { recordDeadlineMs, SlotMemory } from '../lineage/slot-memory.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { vitalsOf, type Vitals } from '../proc/vitals.ts'

/** A crashed application is started again soon, whatever the store does: a checkpoint of it that takes longer to store is given up. */
// @deadline A crash finds a checkpoint still being stored | The storing is broken off, and an older one restored
const storingPatienceMs = 10_000
/** An application that dies within this time after its restore is taken to have died of the checkpoint. */
export const earlyDeathMs = 60_000

export type KeeperStatus = {
  container: string
  state: Container['state']
  /** A checkpoint of the running application is being stored. */
  storing: boolean
  lastCheckpoint: CheckpointOutcome | undefined
  /** Of this pod in the lineage; none while another pod has it. */
  epoch: number | undefined
  /** The pod that took the lineage from this one: no checkpoint of the application is stored any more. */
  fencedBy: string | undefined
} & PreparationStatus

export class ContainerKeeper {
  readonly plan: ContainerPlan
  readonly #around: Surroundings
  readonly #log: EventLog
  readonly #lock: SlotLock
  readonly #memory: SlotMemory
  readonly #talk = new LauncherTalk()
  readonly #preparation: ContainerPreparation
  readonly #launcher: ContainerLauncher
  #container: Container = newContainer
  #queue: Promise<void> = Promise.resolve()
  #provedAlive: NodeJS.Timeout | undefined
  readonly #waiters = new Set<() => void>()
  #observers: ((state: ContainerState) => void)[] = []
  readonly #checkpoints: ContainerCheckpoints

  constructor(around: Surroundings, plan: ContainerPlan, lifeOf = lifeOfProcess) {
    this.#around = around
    this.plan = plan
    this.#log = around.log.child({ container: plan.name })
    this.#lock = lockOf(around, plan)
    const slot = { lineage: around.podPlan.lineage, container: plan.name }
    this.#memory = new SlotMemory(around.store, slot, this.#lock, this.#log)
    this.#checkpoints = new ContainerCheckpoints({
      around,
      plan,
      lock: this.#lock,
      log: this.#log,
      state: () => this.#container.state,
      dispatch: (event) => this.#dispatch(event),
      launcher: () => this.#launcher.version,
      moved: () => this.#wake(),
    })
    this.#preparation = new ContainerPreparation({
      around,
      plan,
      lock: this.#lock,
      talk: this.#talk,
      log: this.#log,
      waiting: () => this.#launcher.waiting,
      isEnding: () => this.#container.ending,
      killedInRestore: (checkpoint) => this.#memory.killedInRestore(checkpoint),
      hung: (checkpoint) => this.#memory.hung(checkpoint),
      leftBehind: (newest, changed) => this.#memory.leftBehind(newest, changed),
      adopted: (running) => {
        this.#dispatch({ event: 'running', ...running })
        clearTimeout(this.#provedAlive)
        this.#provedAlive = setTimeout(() => this.#dispatch({ event: 'proved-alive' }), earlyDeathMs).unref()
      },
    })
    this.#launcher = new ContainerLauncher({
      talk: this.#talk,
      preparation: this.#preparation,
      log: this.#log,
      lifeOf,
      state: () => this.#container.state,
      dispatch: (event) => this.#dispatch(event),
      applicationRuns: () => this.#retakeLock(),
    })
  }

  get launcherPid(): number | undefined {
    return this.#launcher.pid
  }

  get status(): KeeperStatus {
    const lastCheckpoint = this.#checkpoints.last
    return {
      container: this.plan.name,
      state: this.#container.state,
      storing: this.#checkpoints.doing === 'being-saved',
      ...this.#preparation.status,
      ...this.#lock.status,
      lastCheckpoint,
    }
  }

  hear(connection: LauncherConnection, message: FromLauncher): void {
    this.#launcher.hear(connection, message)
  }

  lost(connection: LauncherConnection): void {
    this.#talk.lost(connection)
  }

  /** The kubelet ends the pod. */
  ending(deadline: Deadline): void {
    this.#dispatch({ event: 'ending' })
    void this.#lock.leaving(deadline)
  }

  /**
   * The same for a frozen application, for which no preStop hook can report the end. The launcher withholds SIGTERM from the application until the
   * checkpoint is over, or until `passOn`. @returns the deadline
   */
  endsStandingStill(): Deadline {
    const { checkpointBudgetMs } = this.#around.podPlan
    this.#talk.say({ verb: 'withhold', ms: checkpointBudgetMs + answerGraceMs })
    const deadline = Deadline.in(checkpointBudgetMs)
    this.ending(deadline)
    return deadline
  }

  passOn(): void {
    this.#talk.say({ verb: 'withhold', ms: 0 })
  }

  /** Takes a checkpoint, after the one that is under way. Resolves with the outcome by the request's deadline. */
  checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome> {
    return this.#checkpoints.ask(request)
  }

  /** The root of the application's process tree, while it runs. */
  get root(): number | undefined {
    const { state } = this.#container
    return state.at === 'running' ? state.root : undefined
  }

  get doing(): Doing {
    return this.#checkpoints.doing
  }

  get podUid(): string {
    return this.#around.identity.uid
  }

  /** Resolves when the application runs, or the signal aborts. */
  runs(signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#container.state.at === 'running', signal)
  }

  /** Resolves when `doing` has another value, or the signal aborts. */
  leaves(doing: Doing, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.doing !== doing, signal)
  }

  /** Calls back after each event, with the state. */
  observe(changed: (state: ContainerState) => void): void {
    this.#observers.push(changed)
  }

  /** Calls back whenever CRIU has stopped every task of the application, for whichever checkpoint. */
  whenStopped(stopped: () => Promise<void>): void {
    this.#checkpoints.whenStopped(stopped)
  }

  /** Calls back just before CRIU resumes an application, for whichever checkpoint. */
  whenResuming(resuming: () => void): void {
    this.#checkpoints.whenResuming(resuming)
  }

  recordedNeed(): Promise<{ memoryBytes: number; podUid: string } | undefined> {
    return this.#memory.needed()
  }

  recordNeed(memoryBytes: number): Promise<void> {
    return this.#memory.needs(memoryBytes, this.podUid)
  }

  /** Unless the application lives: a sidecar that is started again goes on with it. */
  async leaveLineage(): Promise<void> {
    const { root } = this
    if (root === undefined || !(await isAlive(root))) await this.#lock.leave()
  }

  /** Ends the container that is kept open with the code, which the owner of the pod sees. */
  leave(code: number): void {
    this.#launcher.exit(code)
  }

  /** Ends a container that is kept open; the application resumes from its checkpoint when the kubelet restarts the container. */
  async endKeptOpen(): Promise<EndKeptOpen> {
    const isKeptOpen = () => this.#container.state.at === 'kept-open'
    if (!isKeptOpen()) return { outcome: 'not-kept-open' }
    const turn = await this.#lock.take(0, AbortSignal.timeout(recordDeadlineMs))
    if (turn.outcome === 'fenced') return { outcome: 'taken-over', holder: turn.holder }
    if (turn.outcome === 'busy')
      return turn.isNamed ? { outcome: 'taken-over', holder: turn.holder } : { outcome: 'unknown' }
    if (!isKeptOpen()) return { outcome: 'not-kept-open' }
    this.#dispatch({ event: 'end-kept-open' })
    return { outcome: 'ended' }
  }

  /** The application has not run long enough after its restore to prove the checkpoint good: no other checkpoint should follow yet. */
  get isOnTrial(): boolean {
    const { state } = this.#container
    return 'onTrial' in state && state.onTrial !== undefined
  }

  /** The restored application fills its memory again. */
  fillsAgain(): void {
    this.#dispatch({ event: 'fills-again' })
  }

  /** The application has free memory again. */
  relieved(): void {
    this.#dispatch({ event: 'relieved' })
  }

  /** The CPU time and the memory of the application; undefined while none runs. */
  async vitals(): Promise<Vitals | undefined> {
    const { state } = this.#container
    return state.at === 'running' ? vitalsOf(state.root) : undefined
  }

  /** Of the files that a checkpoint would archive now; undefined while the application does not run. */
  async archiveBytes(): Promise<number | undefined> {
    const { launcherPid } = this
    if (launcherPid === undefined || this.root === undefined) return undefined
    return archiveBytes(this.#around, this.plan, launcherPid)
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#queue
    await this.#checkpoints.settled()
  }

  #dispatch(event: ContainerEvent): void {
    const step = reduce(this.#container, event)
    this.#container = step.container
    const effects = step.effects.map((effect) => effect.do)
    this.#log.debug({ event: 'container.stepped', cause: event, ...step.container, effects }, 'event')
    for (const changed of this.#observers) changed(step.container.state)
    if (step.container.state.at === 'running') this.#around.numbers.settled(this.plan.name)
    for (const effect of step.effects) {
      if (effect.do === 'refuse') this.#checkpoints.refuse(effect)
      else if (effect.do === 'keep-open') this.#launcher.keepOpen()
      else
        this.#queue = this.#queue
          .then(() => this.#carryOut(effect))
          .catch((error) =>
            this.#log.error({ event: 'container.effect_failed', err: error }, 'an effect failed'),
          )
    }
    this.#checkpoints.changed()
    this.#wake()
  }

  #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!signal.aborted && !holds()) return
        this.#waiters.delete(look)
        signal.removeEventListener('abort', look)
        resolve()
      }
      this.#waiters.add(look)
      signal.addEventListener('abort', look)
      look()
    })
  }

  #wake(): void {
    for (const look of this.#waiters) look()
  }

  async #carryOut(effect: Effect): Promise<void> {
    switch (effect.do) {
      case 'prepare':
        // What the last life saved is the newest to restore; stored later, it would be judged, pruned and counted as this life's.
        await this.#checkpoints.storedWithin(storingPatienceMs)
        return this.#preparation.run(effect)
      case 'take':
        return this.#checkpoints.take(effect)
      case 'let-end':
        await this.#around.numbers.moveAside()
        return this.#talk.say({ verb: 'release' })
      case 'record-finished':
        this.#talk.say({ verb: 'wait', ms: 3 * recordDeadlineMs })
        // A checkpoint that is stored later would count as unfinished work.
        await this.#checkpoints.stopStoring(recordDeadlineMs)
        await markCheckpoint(this.plan.name, undefined, this.#log)
        return this.#memory.finished()
      case 'record-early-death':
        return this.#memory.diedEarly(effect.checkpoint, effect.code)
      case 'record-proved-alive':
        return this.#memory.provedAlive(effect.checkpoint)
    }
  }

  #notOurs(holder: string): void {
    this.#log.warn({ event: 'slot_lock.busy', holder }, 'the lineage is not ours')
    const detail = `pod ${holder} has the lineage`
    this.#around.events.tell({
      reason: 'NotProtected',
      container: this.plan.name,
      code: 'lineage-busy',
      detail,
    })
  }

  /** The process that had the slot lock ended with an earlier sidecar: for a running application this one takes the lock at once. */
  #retakeLock(): void {
    if (this.#container.state.at === 'kept-open') return
    this.#queue = this.#queue.then(async () => {
      const outcome = await this.#lock.take(0, AbortSignal.timeout(recordDeadlineMs))
      // A store that does not answer says nothing of the lineage: the next checkpoint takes the lock.
      if (outcome.outcome === 'busy' && outcome.unanswered !== true) this.#notOurs(outcome.holder)
      // An application that started without waiting for its restore leaves the fetched checkpoint in staging.
      if (this.#launcher.waiting === undefined) await clearFetched(this.plan.name, this.#around.log)
    })
  }
}
