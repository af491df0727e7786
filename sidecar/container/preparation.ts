/** Prepares for one waiting launcher after another (preparation.ts), and tells each its own verdict: never what was made for another. */
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { Log } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import type { Waiting } from './state.ts'
import type { LauncherTalk, Tree } from '../launcher-socket/launcher-talk.ts'
import { rangeStart, setLastPid } from '../proc/pid-range.ts'
import { prepare, type Rejected } from '../restore/preparation.ts'
import type { Restored } from '../restore/restore-attempt.ts'
import type { SlotClaim } from '../lineage/slot-claim.ts'
import type { Surroundings } from '../setup/surroundings.ts'

/** All of a preparation. The launcher loses patience after 30 min (PROTOCOL.md): stop before, and start the application in order. */
// @deadline A preparation does not end | The sidecar gives up and starts the application
const preparationDeadlineMs = 25 * 60_000

export type PreparationParts = {
  around: Surroundings
  plan: ContainerPlan
  /** Of the container in the pod's plan. */
  index: number
  claim: SlotClaim
  talk: LauncherTalk
  log: Log
  /** The life of the launcher that waits at the moment, if one does. */
  waiting: () => string | undefined
  isEnding: () => boolean
  killedInRestore: (checkpoint: string) => Promise<void>
  /** The launcher has adopted the tree that was restored. */
  adopted: (running: { launcherPid: number; root: number; restoredFrom: string }) => void
}

export type PreparationStatus = {
  restoredFrom: string | undefined
  restorePhases: Record<string, number> | undefined
  rejected: Rejected[]
}

export class ContainerPreparation {
  readonly #parts: PreparationParts
  #status: PreparationStatus = { restoredFrom: undefined, restorePhases: undefined, rejected: [] }
  #underWay: AbortController | undefined
  #whenAdopted: (() => void) | undefined

  constructor(parts: PreparationParts) {
    this.#parts = parts
  }

  get status(): PreparationStatus {
    return this.#status
  }

  /** What is under way is for nobody any more. */
  abort(): void {
    this.#underWay?.abort()
  }

  /** The launcher said that it watches over the tree. */
  adopted(): void {
    this.#whenAdopted?.()
    this.#parts.talk.adopted()
  }

  async run({ inOrder = false, ...launcher }: Waiting & { inOrder?: boolean }): Promise<void> {
    const { around, plan, index, claim, isEnding, killedInRestore, talk, log } = this.#parts
    // Its turn came late: the launcher lost patience, or is another one by now.
    if (!this.#waits(launcher)) return
    const abort = new AbortController()
    this.#underWay = abort
    const tooLong = AbortSignal.timeout(preparationDeadlineMs)
    try {
      const options = {
        around,
        plan,
        ...launcher,
        inOrder,
        claim,
        isReplaced: () => this.#isReplaced(launcher),
        isEnding,
        killedInRestore,
      }
      const signal = AbortSignal.any([abort.signal, tooLong])
      const adopt = (id: string, root: number, supervisor: number, status: string) =>
        this.#adopt(launcher, id, { root, supervisor, status })
      const prepared = await Promise.race([prepare({ ...options, signal, adopt }), rejectedBy(tooLong)])
      this.#status.rejected = prepared.rejected
      this.#status.restoredFrom = undefined
      if (prepared.outcome === 'restored') return this.#restored(prepared.restored)
      if (prepared.outcome === 'ended' || !this.#waits(launcher)) return
      log.info({ rejected: prepared.rejected }, 'starting the application from its beginning')
    } catch (error) {
      log.error({ err: error }, 'preparing failed: starting the application from its beginning')
      this.#status.rejected = [{ id: '*', reason: 'restore-failed', detail: describeError(error) }]
    } finally {
      this.#underWay = undefined
    }
    if (!this.#waits(launcher)) return
    await setLastPid(rangeStart(index, around.podPlan.containers.length), log)
    // Said to another launcher it would throw that one's work away.
    if (this.#waits(launcher)) talk.start(launcher.life)
  }

  #waits({ life }: Waiting): boolean {
    return this.#parts.waiting() === life
  }

  #isReplaced({ life }: Waiting): boolean {
    const waiting = this.#parts.waiting()
    return waiting !== undefined && waiting !== life
  }

  #restored({ manifest, phases }: Restored): void {
    this.#status.restoredFrom = manifest.id
    this.#status.restorePhases = phases
    this.#parts.log.info(
      { checkpoint: manifest.id, ...phases },
      'the application went on from its checkpoint',
    )
  }

  /**
   * It runs, on trial, from the moment the launcher adopted it: an application that dies at its first instruction is gone
   * before the restore has cleared up, and has to count as an early death, or it would be restored to die for ever.
   */
  async #adopt(launcher: Waiting, id: string, tree: Tree): Promise<boolean> {
    if (!this.#waits(launcher)) return false
    const adopted = this.#parts.talk.adopt(tree)
    this.#whenAdopted = () =>
      this.#parts.adopted({ launcherPid: launcher.launcherPid, root: tree.root, restoredFrom: id })
    return adopted.finally(() => {
      this.#whenAdopted = undefined
    })
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
