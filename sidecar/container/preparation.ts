/** Prepares a restore for one waiting launcher after another (restore/preparation.ts), and gives each launcher its own verdict only. */
import { describeError, ReprieveError } from '../../src/errors.ts'
import { startOfGeneration, type GenerationStart } from '../../src/generation.ts'
import type { EventLog } from '../../src/log.ts'
import type { ContainerPlan } from '../../src/pod-plan.ts'
import type { Waiting } from './state.ts'
import type { LauncherTalk, Tree } from '../launcher-socket/launcher-talk.ts'
import { prepare, type Rejected } from '../restore/preparation.ts'
import type { RestoreChoice } from '../../src/restore-choice.ts'
import type { Restored } from '../restore/restore-attempt.ts'
import { newGenerationId, noteLife } from '../lineage/life-note.ts'
import type { SlotLock } from '../lineage/slot-lock.ts'
import type { Surroundings } from '../setup/surroundings.ts'

/** For a whole preparation. The launcher waits 30 min at most (PROTOCOL.md): the sidecar stops before and lets the application start. */
// @deadline A preparation does not end | The sidecar gives up and starts the application
const preparationDeadlineMs = 25 * 60_000

export type PreparationParts = {
  around: Surroundings
  plan: ContainerPlan
  lock: SlotLock
  talk: LauncherTalk
  log: EventLog
  /** The life of the launcher that waits now, if one does. */
  waiting: () => string | undefined
  isEnding: () => boolean
  killedInRestore: (checkpoint: string) => Promise<void>
  hung: (checkpoint: string) => Promise<void>
  /** Records that the application begins from its beginning, because its work is another than that of the newest checkpoint. */
  leftBehind: (newest: string, changed: string) => Promise<void>
  /** Called when the launcher has adopted the restored tree. */
  adopted: (running: { launcherPid: number; root: number; restoredFrom: string }) => void
}

export type PreparationStatus = {
  restoredFrom: string | undefined
  restorePhases: Record<string, number> | undefined
  rejected: Rejected[]
  /** Attributes of processes and threads that a restore did not bring back. */
  lostAttributes: string[]
}

export class ContainerPreparation {
  readonly #parts: PreparationParts
  #status: PreparationStatus = {
    restoredFrom: undefined,
    restorePhases: undefined,
    rejected: [],
    lostAttributes: [],
  }
  #underWay: AbortController | undefined
  #whenAdopted: (() => void) | undefined

  constructor(parts: PreparationParts) {
    this.#parts = parts
  }

  get status(): PreparationStatus {
    return this.#status
  }

  /** Aborts the preparation that is under way: no launcher waits for it any more. */
  abort(): void {
    this.#underWay?.abort()
  }

  /** The launcher says that it supervises the tree. */
  adopted(): void {
    this.#whenAdopted?.()
    this.#parts.talk.adopted()
  }

  async run({ inOrder = false, ...launcher }: Waiting & { inOrder?: boolean }): Promise<void> {
    const { around, plan, lock, isEnding, killedInRestore, hung, talk, log } = this.#parts
    // This preparation waited its turn: the launcher may have lost patience, or be another one by now.
    if (!this.#waits(launcher)) return
    const abort = new AbortController()
    this.#underWay = abort
    let began: GenerationStart = 'surroundings'
    const tooLong = AbortSignal.timeout(preparationDeadlineMs)
    try {
      const options = {
        around,
        plan,
        ...launcher,
        inOrder,
        lock,
        isReplaced: () => this.#isReplaced(launcher),
        isEnding,
        killedInRestore,
        hung,
      }
      const signal = AbortSignal.any([abort.signal, tooLong])
      const adopt = (id: string, root: number, supervisor: number, status: string) =>
        this.#adopt(launcher, id, { root, supervisor, status })
      const prepared = await Promise.race([prepare({ ...options, signal, adopt }), rejectedBy(tooLong)])
      this.#status.rejected = prepared.rejected
      this.#status.restoredFrom = undefined
      this.#status.lostAttributes = []
      if (prepared.outcome === 'restored') return this.#restored(prepared.restored)
      if (prepared.outcome === 'ended' || !this.#waits(launcher)) return
      const reasons = prepared.rejected.map(({ reason }) => reason)
      began = startOfGeneration(around.podPlan.restore === 'never' ? ['restore-never'] : reasons)
      log.info(
        { event: 'application.started_afresh', began, rejected: prepared.rejected },
        'starting the application from its beginning',
      )
      this.#tellStart(prepared.rejected)
      if (prepared.otherWork !== undefined) this.#leaveBehind(prepared.otherWork)
    } catch (error) {
      log.error(
        { event: 'restore.preparation_failed', err: error },
        'preparing failed: starting the application from its beginning',
      )
      this.#status.rejected = [{ id: '*', reason: 'restore-failed', detail: describeError(error) }]
      this.#tellStart(this.#status.rejected)
    } finally {
      this.#underWay = undefined
    }
    if (!this.#waits(launcher)) return
    await noteLife(plan.name, launcher.life, { generation: { id: newGenerationId(), began } }, log)
    await around.numbers.moveOn()
    // A `start` to the next launcher would throw away the work that is to be restored for it.
    if (this.#waits(launcher)) talk.start(launcher.life)
  }

  /** A start from the beginning where there was nothing to go on from is no news. */
  #tellStart(rejected: readonly Rejected[]): void {
    const { around, plan } = this.#parts
    const [first, ...others] = rejected
    if (first === undefined) return
    const container = plan.name
    const [code, more] = [first.reason, others.length === 0 ? '' : ` (and ${others.length} more)`]
    const isOfAnother = code === 'lineage-busy'
    const reason = isOfAnother ? 'NotProtected' : 'StartedFresh'
    around.events.tell({ reason, container, code, detail: `${code}: ${first.detail}${more}` })
  }

  /** The application does not wait for the store to record it. */
  #leaveBehind({ newest, changed, canGoBack }: NonNullable<RestoreChoice['otherWork']>): void {
    const { leftBehind, log } = this.#parts
    const goBack = canGoBack ? `reprieve.dev/restore: ${newest}` : 'none: it cannot be restored into this pod'
    log.warn(
      { event: 'lineage.other_work', changed, newest, goBack },
      'the work is another than that of the newest checkpoint, which is not restored',
    )
    leftBehind(newest, changed).catch((error: unknown) =>
      log.warn(
        { event: 'lineage.other_work_not_recorded', err: error },
        'that the work began from its beginning could not be recorded',
      ),
    )
  }

  #waits({ life }: Waiting): boolean {
    return this.#parts.waiting() === life
  }

  #isReplaced({ life }: Waiting): boolean {
    const waiting = this.#parts.waiting()
    return waiting !== undefined && waiting !== life
  }

  #restored({ manifest, phases, lost }: Restored): void {
    this.#status.restoredFrom = manifest.id
    this.#status.restorePhases = phases
    this.#status.lostAttributes = lost
    if (lost.length > 0)
      this.#parts.log.warn(
        { event: 'restore.attributes_lost', checkpoint: manifest.id, lost },
        'attributes of restored processes are not as they were',
      )
    this.#parts.log.info(
      { event: 'restore.completed', checkpoint: manifest.id, ...phases },
      'the application went on from its checkpoint',
    )
    const { around, plan } = this.#parts
    const { id, createdAt } = manifest
    const detail = `checkpoint ${id} of ${createdAt}`
    around.events.saved(
      { reason: 'Restored', container: plan.name, code: id, detail },
      { id, atMs: Date.parse(createdAt) },
    )
  }

  /**
   * The application runs, on trial, from the moment the launcher adopts it. One that dies at its first instruction is gone before the
   * restore has cleaned up. It must count as an early death, else it would be restored for ever.
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

/** A call into a file system that hangs may never settle. */
function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new ReprieveError('deadline-passed', 'the preparation took too long')),
    )
  })
}
