/**
 * Keeps one protected container: feeds its launcher's words and the triggers' requests to the reducer, and carries out the
 * effects, one after another. Its checkpoints are taken by checkpoints.ts, its restores by preparation.ts.
 */
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import { markCheckpoint } from '../lineage/checkpoint-mark.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../checkpoint/request.ts'
import { Deadline } from '../../src/deadline.ts'
import { answerGraceMs } from './queue.ts'
import { ContainerCheckpoints } from './checkpoints.ts'
import { ContainerPreparation, type PreparationStatus } from './preparation.ts'
import {
  newContainer,
  reduce,
  type Container,
  type ContainerEvent,
  type ContainerState,
  type Doing,
  type Effect,
  type LetGo,
} from './state.ts'
import type { FromLauncher, RunPosition } from '../launcher-socket/launcher-messages.ts'
import type { LauncherConnection } from '../launcher-socket/launcher-server.ts'
import { LauncherTalk } from '../launcher-socket/launcher-talk.ts'
import { asidePid, setLastPid } from '../proc/pid-range.ts'
import { claimOf, clearFetched } from '../restore/preparation.ts'
import { isAliveNow, lifeOf as lifeOfProcess, signal as sendSignal, treeOf } from '../proc/process-tree.ts'
import type { SlotClaim } from '../lineage/slot-claim.ts'
import { recordDeadlineMs, SlotMemory } from '../lineage/slot-memory.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { vitalsOf, type Vitals } from '../proc/vitals.ts'

/** An application that dies within this time of its restore died of the checkpoint, as far as anyone can tell. */
export const earlyDeathMs = 60_000

export type KeeperStatus = {
  container: string
  state: Container['state']
  /** A checkpoint of the running application is being stored. */
  storing: boolean
  lastCheckpoint: CheckpointOutcome | undefined
} & PreparationStatus

export class ContainerKeeper {
  readonly plan: ContainerPlan
  readonly #around: Surroundings
  readonly #log: Log
  readonly #claim: SlotClaim
  readonly #memory: SlotMemory
  readonly #talk = new LauncherTalk()
  readonly #preparation: ContainerPreparation
  readonly #lifeOf: (pid: number) => string
  #container: Container = newContainer
  /** Of the launcher that was heard last: the version of its file, and which process it is. */
  #launcher = ''
  #life = ''
  #queue: Promise<void> = Promise.resolve()
  #provedAlive: NodeJS.Timeout | undefined
  #leaving: number | undefined
  readonly #runsWaiters = new Set<() => void>()
  #observers: ((state: ContainerState) => void)[] = []
  readonly #checkpoints: ContainerCheckpoints

  constructor(around: Surroundings, plan: ContainerPlan, index: number, lifeOf = lifeOfProcess) {
    this.#around = around
    this.plan = plan
    this.#lifeOf = lifeOf
    this.#log = around.log.child({ container: plan.name })
    this.#claim = claimOf(around, plan)
    const slot = { lineage: around.podPlan.lineage, container: plan.name }
    this.#memory = new SlotMemory(around.store, slot, this.#claim, this.#log)
    this.#checkpoints = new ContainerCheckpoints({
      around,
      plan,
      claim: this.#claim,
      log: this.#log,
      state: () => this.#container.state,
      dispatch: (event) => this.#dispatch(event),
      launcher: () => this.#launcher,
    })
    this.#preparation = new ContainerPreparation({
      around,
      plan,
      index,
      claim: this.#claim,
      talk: this.#talk,
      log: this.#log,
      waiting: () => this.#waiting,
      isEnding: () => this.#container.ending,
      killedInRestore: (checkpoint) => this.#memory.killedInRestore(checkpoint),
      adopted: (running) => {
        this.#dispatch({ event: 'running', ...running })
        clearTimeout(this.#provedAlive)
        this.#provedAlive = setTimeout(() => this.#dispatch({ event: 'proved-alive' }), earlyDeathMs).unref()
      },
    })
  }

  /** Of the launcher that was heard last, while its container is not known to have ended, and nobody else has its number. */
  get launcherPid(): number | undefined {
    const { state } = this.#container
    return 'launcherPid' in state && this.#lifeOf(state.launcherPid) === this.#life
      ? state.launcherPid
      : undefined
  }

  /** The life of the launcher that waits for its verdict. */
  get #waiting(): string | undefined {
    const { state } = this.#container
    return state.at === 'preparing' ? state.life : undefined
  }

  get status(): KeeperStatus {
    const lastCheckpoint = this.#checkpoints.last
    return {
      container: this.plan.name,
      state: this.#container.state,
      storing: this.#checkpoints.doing === 'being-saved',
      ...this.#preparation.status,
      lastCheckpoint,
    }
  }

  /** A launcher's word on the connection that introduced itself with `run`. */
  hear(connection: LauncherConnection, message: FromLauncher): void {
    switch (message.verb) {
      case 'run':
        this.#talk.speaksOn(connection)
        this.#launcher = message.launcher
        this.#life = this.#lifeOf(message.pid)
        this.#introduced(message.pid, message.at)
        return
      case 'started': {
        this.#preparation.abort()
        const { state } = this.#container
        if ('launcherPid' in state)
          this.#dispatch({ event: 'running', launcherPid: state.launcherPid, root: message.root })
        this.#reclaim()
        return
      }
      case 'adopted':
        this.#preparation.adopted()
        return
      case 'gone':
        // An end that the process table belies would make a running application's checkpoints those of finished work.
        if ('root' in this.#container.state && isAliveNow(this.#container.state.root))
          return connection.close()
        this.#preparation.abort()
        this.#dispatch({ event: 'gone', ...ended(message) })
        return
      case 'signal':
        this.#forward(message.number, message.root)
        return
      default:
        connection.close()
    }
  }

  #introduced(launcherPid: number, at: RunPosition): void {
    const life = this.#life
    // One that lost patience wants no restore; one that adopted has it, and CRIU may still be letting it go.
    if (at.state === 'waiting' ? this.#waiting !== life : at.state !== 'adopted') this.#preparation.abort()
    switch (at.state) {
      case 'waiting':
        this.#leaving = undefined
        this.#talk.reassure(life, () => this.#waiting !== undefined)
        return this.#dispatch({ event: 'waiting', launcherPid, life })
      case 'gone':
        return this.#dispatch({ event: 'gone', ...ended(at) })
      default:
        this.#dispatch({ event: 'running', launcherPid, root: at.root })
        this.#reclaim()
    }
  }

  lost(connection: LauncherConnection): void {
    this.#talk.lost(connection)
  }

  /** The pod was told to end. */
  ending(deadline: Deadline): void {
    this.#dispatch({ event: 'ending' })
    void this.#claim.leaving(deadline)
  }

  /**
   * The same, of an application that stands still, so that no preStop could say so. It hears of its end when the checkpoint is over with, or at
   * `passOn`. @returns the deadline
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

  /** Takes a checkpoint, after one that is under way. Resolves by the request's deadline with what became of it. */
  checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome> {
    return this.#checkpoints.ask(request)
  }

  /** Of the application's tree, while it runs. */
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
    if (this.#container.state.at === 'running' || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.#runsWaiters.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#runsWaiters.add(done)
      signal.addEventListener('abort', done)
    })
  }

  /** Calls back with each new state. */
  observe(changed: (state: ContainerState) => void): void {
    this.#observers.push(changed)
  }

  /** Calls back whenever CRIU holds every task of the application, for whichever checkpoint. */
  whenHeld(held: () => Promise<void>): void {
    this.#checkpoints.whenHeld(held)
  }

  /** Calls back just before CRIU lets go of an application that goes on, for whichever checkpoint. */
  whenGoingOn(goingOn: () => void): void {
    this.#checkpoints.whenGoingOn(goingOn)
  }

  recordedNeed(): Promise<{ memoryBytes: number; podUid: string } | undefined> {
    return this.#memory.needed()
  }

  recordNeed(memoryBytes: number): Promise<void> {
    return this.#memory.needs(memoryBytes, this.podUid)
  }

  /** Ends the held container with the code, for whoever looks after the pod to see. */
  leave(code: number): void {
    if (this.#container.state.at !== 'held') return
    // A launcher that has not seen the end yet does not obey: it is told again when it has (#hold).
    this.#leaving = code
    this.#hold()
  }

  #hold(): void {
    this.#talk.say({ verb: 'hold' })
    if (this.#leaving !== undefined) this.#talk.say({ verb: 'release', code: this.#leaving })
  }

  /** Lets a container end that is held for a checkpoint, to go on from it when it is started again. */
  async letGo(): Promise<LetGo> {
    const isHeld = () => this.#container.state.at === 'held'
    if (!isHeld()) return { outcome: 'not-held' }
    const turn = await this.#claim.take(0, AbortSignal.timeout(recordDeadlineMs))
    if (turn.outcome === 'busy')
      return turn.isNamed ? { outcome: 'taken-over', holder: turn.holder } : { outcome: 'unknown' }
    if (!isHeld()) return { outcome: 'not-held' }
    this.#dispatch({ event: 'let-go' })
    return { outcome: 'let-go' }
  }

  /** It was restored, and has not lived long enough to prove its checkpoint good: no other one should follow from it yet. */
  get isOnTrial(): boolean {
    const { state } = this.#container
    return 'onTrial' in state && state.onTrial !== undefined
  }

  /** Restored, it fills its memory as it did before. */
  fillsAgain(): void {
    this.#dispatch({ event: 'fills-again' })
  }

  /** Its memory has room again. */
  relieved(): void {
    this.#dispatch({ event: 'relieved' })
  }

  /** What the application has used and holds; undefined while none runs. */
  async vitals(): Promise<Vitals | undefined> {
    const { state } = this.#container
    return state.at === 'running' ? vitalsOf(state.root) : undefined
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#queue
    await this.#checkpoints.settled()
  }

  #dispatch(event: ContainerEvent): void {
    const step = reduce(this.#container, event)
    this.#container = step.container
    this.#log.debug(
      { event, state: step.container.state, effects: step.effects.map((effect) => effect.do) },
      'event',
    )
    for (const changed of this.#observers) changed(step.container.state)
    if (step.container.state.at === 'running') for (const done of this.#runsWaiters) done()
    for (const effect of step.effects) {
      if (effect.do === 'refuse') this.#checkpoints.refuse(effect)
      else if (effect.do === 'hold') this.#hold()
      else
        this.#queue = this.#queue
          .then(() => this.#carryOut(effect))
          .catch((error) => this.#log.error({ err: error }, 'an effect failed'))
    }
    this.#checkpoints.changed()
  }

  async #carryOut(effect: Effect): Promise<void> {
    switch (effect.do) {
      case 'prepare':
        return this.#preparation.run(effect)
      case 'take':
        return this.#checkpoints.take(effect)
      case 'release':
        await setLastPid(asidePid, this.#log)
        return this.#talk.say({ verb: 'release' })
      case 'record-finished':
        this.#talk.say({ verb: 'wait', ms: 3 * recordDeadlineMs })
        // What is being stored would be taken for unfinished work.
        await this.#checkpoints.stopStoring(recordDeadlineMs)
        await markCheckpoint(this.plan.name, undefined, this.#log)
        return this.#memory.finished()
      case 'record-early-death':
        return this.#memory.diedEarly(effect.checkpoint, effect.code)
      case 'record-proved-alive':
        return this.#memory.provedAlive(effect.checkpoint)
    }
  }

  /** What held the slot's lock died with an earlier life of this sidecar: an application that runs takes it again at once. */
  #reclaim(): void {
    if (this.#container.state.at === 'held') return
    this.#queue = this.#queue.then(async () => {
      const outcome = await this.#claim.take(0, AbortSignal.timeout(recordDeadlineMs))
      if (outcome.outcome === 'busy') this.#log.warn({ holder: outcome.holder }, 'the lineage is not ours')
      // Where the application began before its turn came, what was fetched for it lies there still.
      if (this.#waiting === undefined) await clearFetched(this.plan.name, this.#log)
    })
  }

  /** The launcher lacks the right to signal an application that changed its user. Only the tree's own root is signalled. */
  #forward(number: number, root: number): void {
    const { state } = this.#container
    if (!('root' in state) || state.root !== root || number < 1 || number > 64) return
    treeOf(root)
      .then((tree) => tree.length > 0 && sendSignal(root, number))
      .catch((error) => this.#log.warn({ err: error, number, root }, 'a signal was not passed on'))
  }
}

/** How it ended; a property that is undefined is one too many for an optional one. */
function ended({ code, told }: { code: number; told?: number }): { code: number; told?: number } {
  return told === undefined ? { code } : { code, told }
}
