/**
 * Keeps one protected container: feeds its launcher's words and the triggers' requests to the reducer, and carries out the
 * effects, one after another.
 */
import { describeError, ReprieveError } from '../src/errors.ts'
import type { Log } from '../src/log.ts'
import type { ContainerPlan } from '../src/pod-plan.ts'
import { AskedCheckpoints, type CheckpointOutcome } from './asked-checkpoints.ts'
import { markCheckpoint } from './checkpoint-mark.ts'
import { takeCheckpoint, type CheckpointRequest } from './checkpoint.ts'
import {
  newContainer,
  reduce,
  type Container,
  type ContainerEvent,
  type ContainerState,
  type Effect,
} from './container-state.ts'
import type { FromLauncher } from './launcher-messages.ts'
import type { LauncherConnection } from './launcher-server.ts'
import { LauncherTalk, type Tree } from './launcher-talk.ts'
import { asidePid, rangeStart, setLastPid } from './pid-range.ts'
import { claimOf, lineageBusy, prepare, type Rejected } from './preparation.ts'
import { isAliveNow, launcherHashOf, signal as sendSignal, treeOf } from './process-tree.ts'
import type { SlotClaim } from './slot-claim.ts'
import { recordDeadlineMs, SlotMemory } from './slot-memory.ts'
import type { Surroundings } from './surroundings.ts'
import { vitalsOf, type Vitals } from './vitals.ts'

/** An application that dies within this time of its restore died of the checkpoint, as far as anyone can tell. */
export const earlyDeathMs = 60_000
/** All of a preparation. The launcher loses patience after 30 min (PROTOCOL.md): stop before, and start the application in order. */
const preparationDeadlineMs = 25 * 60_000

export type KeeperStatus = {
  container: string
  state: Container['state']
  restoredFrom: string | undefined
  restorePhases: Record<string, number> | undefined
  rejected: Rejected[]
  lastCheckpoint: CheckpointOutcome | undefined
}

export class ContainerKeeper {
  readonly plan: ContainerPlan
  readonly #around: Surroundings
  readonly #index: number
  readonly #log: Log
  readonly #claim: SlotClaim
  readonly #memory: SlotMemory
  readonly #talk = new LauncherTalk()
  #container: Container = newContainer
  #launcher = ''
  #queue: Promise<void> = Promise.resolve()
  #whenAdopted: (() => void) | undefined
  #preparing: AbortController | undefined
  #provedAlive: NodeJS.Timeout | undefined
  #leaving: number | undefined
  #heldListeners: (() => Promise<void>)[] = []
  #observers: ((state: ContainerState) => void)[] = []
  /** What the application was ended with that is held. */
  #heldFor: CheckpointOutcome | undefined
  readonly #asked = new AskedCheckpoints((request) => this.#dispatch({ event: 'asked', request }))
  #status: Omit<KeeperStatus, 'container' | 'state'> = {
    restoredFrom: undefined,
    restorePhases: undefined,
    rejected: [],
    lastCheckpoint: undefined,
  }

  constructor(around: Surroundings, plan: ContainerPlan, index: number) {
    this.#around = around
    this.plan = plan
    this.#index = index
    this.#log = around.log.child({ container: plan.name })
    this.#claim = claimOf(around, plan)
    const slot = { lineage: around.podPlan.lineage, container: plan.name }
    this.#memory = new SlotMemory(around.store, slot, this.#claim, this.#log)
  }

  /** Of the launcher that was heard last, while its container is not known to have ended. */
  get launcherPid(): number | undefined {
    const { state } = this.#container
    return 'launcherPid' in state ? state.launcherPid : undefined
  }

  get status(): KeeperStatus {
    return { container: this.plan.name, state: this.#container.state, ...this.#status }
  }

  /** A launcher's word on the connection that introduced itself with `run`. */
  hear(connection: LauncherConnection, message: FromLauncher): void {
    switch (message.verb) {
      case 'run':
        this.#talk.speaksOn(connection)
        this.#launcher = message.launcher
        // One that lost patience wants no restore; one that adopted has it, and CRIU may still be letting it go.
        if (message.at.state === 'waiting')
          this.#talk.reassure(message.pid, () => this.#container.state.at === 'preparing')
        else if (message.at.state !== 'adopted') this.#preparing?.abort()
        if (message.at.state === 'waiting') this.#dispatch({ event: 'waiting', launcherPid: message.pid })
        else if (message.at.state === 'gone') this.#dispatch({ event: 'gone', ...ended(message.at) })
        else {
          this.#dispatch({ event: 'running', launcherPid: message.pid, root: message.at.root })
          this.#reclaim()
        }
        return
      case 'started': {
        this.#preparing?.abort()
        const { state } = this.#container
        if ('launcherPid' in state)
          this.#dispatch({ event: 'running', launcherPid: state.launcherPid, root: message.root })
        this.#reclaim()
        return
      }
      case 'adopted':
        this.#whenAdopted?.()
        this.#talk.adopted()
        return
      case 'gone':
        // An end that the process table belies would make a running application's checkpoints those of finished work.
        if ('root' in this.#container.state && isAliveNow(this.#container.state.root))
          return connection.close()
        this.#preparing?.abort()
        this.#dispatch({ event: 'gone', ...ended(message) })
        return
      case 'signal':
        this.#forward(message.number, message.root)
        return
      default:
        connection.close()
    }
  }

  lost(connection: LauncherConnection): void {
    this.#talk.lost(connection)
  }

  /** The pod was told to end. */
  ending(deadline: number): void {
    this.#dispatch({ event: 'ending' })
    void this.#claim.leaving(deadline)
  }

  /** Takes a checkpoint, after one that is under way. Resolves by the request's deadline with what became of it. */
  async checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome> {
    // It was ended for one already, by a notice before the pod's end.
    if (this.#container.state.at === 'held' && request.afterwards === 'end' && this.#heldFor !== undefined)
      return this.#heldFor
    return (this.#status.lastCheckpoint = await this.#asked.ask(request))
  }

  /** Of the application's tree, while it runs. */
  get root(): number | undefined {
    const { state } = this.#container
    return state.at === 'running' ? state.root : undefined
  }

  isRunning(): boolean {
    return this.#container.state.at === 'running'
  }

  /** Calls back with each new state. */
  observe(changed: (state: ContainerState) => void): void {
    this.#observers.push(changed)
  }

  /** Calls back whenever CRIU holds every task of the application, for whichever checkpoint. */
  whenHeld(held: () => Promise<void>): void {
    this.#heldListeners.push(held)
  }

  recordedNeed(): Promise<{ memoryBytes: number; podUid: string } | undefined> {
    return this.#memory.needed()
  }

  recordNeed(memoryBytes: number): Promise<void> {
    return this.#memory.needs(memoryBytes, this.#around.identity.uid)
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

  /**
   * Lets a container end that is held for a checkpoint, to go on from it when it is started again; false where it is not held, or
   * another pod has the lineage and has gone on from there itself.
   */
  async letGo(): Promise<boolean> {
    const { outcome } = await this.#claim.take(0, AbortSignal.timeout(recordDeadlineMs))
    if (outcome === 'busy' || this.#container.state.at !== 'held') return false
    this.#dispatch({ event: 'let-go' })
    return true
  }

  /** It was restored, and has not lived long enough to prove its checkpoint good: no other one should follow from it yet. */
  get isOnTrial(): boolean {
    const { state } = this.#container
    return 'onTrial' in state && state.onTrial !== undefined
  }

  /** What the application has used and holds; undefined while none runs. */
  async vitals(): Promise<Vitals | undefined> {
    const { state } = this.#container
    return state.at === 'running' ? vitalsOf(state.root) : undefined
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#queue
  }

  #dispatch(event: ContainerEvent): void {
    const step = reduce(this.#container, event)
    this.#container = step.container
    this.#log.debug(
      { event, state: step.container.state, effects: step.effects.map((effect) => effect.do) },
      'event',
    )
    for (const changed of this.#observers) changed(step.container.state)
    for (const effect of step.effects) {
      if (effect.do === 'refuse')
        this.#asked.answer(effect.request, {
          outcome: 'failed',
          reason: effect.reason,
          detail: effect.reason,
        })
      else if (effect.do === 'hold') this.#hold()
      else
        this.#queue = this.#queue
          .then(() => this.#carryOut(effect))
          .catch((error) => this.#log.error({ err: error }, 'an effect failed'))
    }
  }

  async #carryOut(effect: Effect): Promise<void> {
    switch (effect.do) {
      case 'prepare':
        return this.#prepare(effect.launcherPid)
      case 'take':
        return this.#take(effect)
      case 'release':
        await setLastPid(asidePid, this.#log)
        return this.#talk.say({ verb: 'release' })
      case 'record-finished':
        this.#talk.say({ verb: 'wait', ms: 2 * recordDeadlineMs })
        await markCheckpoint(this.plan.name, undefined, this.#log)
        return this.#memory.finished()
      case 'record-early-death':
        return this.#memory.diedEarly(effect.checkpoint, effect.code)
      case 'record-proved-alive':
        return this.#memory.provedAlive(effect.checkpoint)
    }
  }

  async #prepare(launcherPid: number): Promise<void> {
    // Its turn came late: the launcher lost patience, or is another one by now.
    const { state } = this.#container
    if (state.at !== 'preparing' || state.launcherPid !== launcherPid) return
    this.#leaving = undefined
    const abort = new AbortController()
    this.#preparing = abort
    const tooLong = AbortSignal.timeout(preparationDeadlineMs)
    try {
      const options = { around: this.#around, plan: this.plan, launcherPid, claim: this.#claim }
      const signal = AbortSignal.any([abort.signal, tooLong])
      const adopt = (id: string, root: number, supervisor: number, status: string) =>
        this.#adopt(launcherPid, id, { root, supervisor, status })
      const prepared = await Promise.race([prepare({ ...options, signal, adopt }), rejectedBy(tooLong)])
      this.#status.rejected = prepared.rejected
      this.#status.restoredFrom = undefined
      if (prepared.outcome === 'restored') return this.#restored(prepared.restored)
      if (prepared.outcome === 'ended') return
      this.#log.info({ rejected: prepared.rejected }, 'starting the application from its beginning')
    } catch (error) {
      this.#log.error({ err: error }, 'preparing failed: starting the application from its beginning')
      this.#status.rejected = [{ id: '*', reason: 'restore-failed', detail: describeError(error) }]
    } finally {
      this.#preparing = undefined
    }
    if (abort.signal.aborted) return
    await setLastPid(rangeStart(this.#index, this.#around.podPlan.containers.length), this.#log)
    this.#talk.start(launcherPid)
  }

  #restored(restored: { manifest: { id: string }; phases: Record<string, number> }): void {
    const { id } = restored.manifest
    this.#status.restoredFrom = id
    this.#status.restorePhases = restored.phases
    this.#log.info({ checkpoint: id, ...restored.phases }, 'the application went on from its checkpoint')
  }

  /**
   * It runs, on trial, from the moment the launcher adopted it: an application that dies at its first instruction is gone
   * before the restore has cleared up, and has to count as an early death, or it would be restored to die for ever.
   */
  async #adopt(launcherPid: number, id: string, tree: Tree): Promise<boolean> {
    const adopted = this.#talk.adopt(tree)
    this.#whenAdopted = () => {
      this.#dispatch({ event: 'running', launcherPid, root: tree.root, restoredFrom: id })
      clearTimeout(this.#provedAlive)
      this.#provedAlive = setTimeout(() => this.#dispatch({ event: 'proved-alive' }), earlyDeathMs).unref()
    }
    return adopted.finally(() => {
      this.#whenAdopted = undefined
    })
  }

  async #take({ launcherPid, root, request }: Effect & { do: 'take' }): Promise<void> {
    try {
      const launcher = (await launcherHashOf(root)) ?? this.#launcher
      const target = { plan: this.plan, launcherPid, launcher, root }
      await this.#requireClaim(request.deadline)
      const { manifest, ended, phases, cpuMs } = await takeCheckpoint(this.#around, target, {
        ...request,
        held: async () => {
          for (const held of [request.held, ...this.#heldListeners]) await held?.()
        },
      })
      const { id, totalBytes, trigger, reason } = manifest
      this.#log.info(
        { checkpoint: id, trigger, reason, ended, totalBytes, ...phases },
        'a checkpoint was taken',
      )
      this.#dispatch({ event: 'taken', root, ended, checkpoint: id })
      const outcome: CheckpointOutcome = { outcome: 'taken', id, phases, bytes: totalBytes, cpuMs }
      this.#heldFor = ended ? outcome : undefined
      this.#asked.answer(request, outcome)
      await markCheckpoint(this.plan.name, id, this.#log)
      await this.#around.store
        .prune(manifest.slot, this.#around.podPlan.keep, AbortSignal.timeout(60_000))
        .catch((error) => this.#log.warn({ err: error }, 'old checkpoints were not removed'))
      // Nothing more is written: the replacement, which may be waiting, can go on.
      if (ended) this.#claim.release()
    } catch (error) {
      const reason = (error as { code?: string }).code ?? 'dump-failed'
      this.#log.error(
        { err: error, trigger: request.trigger },
        'no checkpoint was taken: the application goes on',
      )
      this.#dispatch({ event: 'failed', root })
      this.#asked.answer(request, { outcome: 'failed', reason, detail: describeError(error) })
    }
  }

  /** What held the slot's lock died with an earlier life of this sidecar: an application that runs takes it again at once. */
  #reclaim(): void {
    if (this.#container.state.at === 'held') return
    this.#queue = this.#queue.then(async () => {
      const outcome = await this.#claim.take(0, AbortSignal.timeout(recordDeadlineMs))
      if (outcome.outcome === 'busy') this.#log.warn({ holder: outcome.holder }, 'the lineage is not ours')
    })
  }

  /** @throws ReprieveError `lineage-busy`: what another pod of the lineage has stored is not to be mixed with this one's. */
  async #requireClaim(deadline: number): Promise<void> {
    const outcome = await this.#claim.take(0, AbortSignal.timeout(Math.max(1, deadline - Date.now())))
    if (outcome.outcome === 'busy') {
      const { detail, reason } = lineageBusy(outcome.holder)
      throw new ReprieveError('lineage-busy', detail, { reason, holder: outcome.holder })
    }
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

/** A file system that hangs can keep what it was asked for pending for ever. */
function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new ReprieveError('deadline-passed', 'the preparation took too long')),
    )
  })
}

/** How it ended; a property that is undefined is one too many for an optional one. */
function ended({ code, told }: { code: number; told?: number }): { code: number; told?: number } {
  return told === undefined ? { code } : { code, told }
}
