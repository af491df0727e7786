/**
 * Announced ends. Sources report their notices (`hear`), the board groups them by death, and the table of answers says what is done. Each
 * container is answered once for each death, for as long as the death is announced.
 */
import type { EventLog } from '../../../src/log.ts'
import type { EndKeptOpen } from '../../container/state.ts'
import {
  AnnouncedCheckpoints,
  type AnnouncedParts,
  type Current,
  type Task,
} from './announced-checkpoints.ts'
import { answerTo, isStronger, reconsiderAt, strongestOf, type Answer } from './answers.ts'
import {
  answeredFor,
  asksToHold,
  continuationsOf,
  deathsOf,
  dueFor,
  emptyBoard,
  hear,
  noteAnswer,
  noteJoined,
  noteReleased,
  overdueMs,
} from './notice-board.ts'
import { keyOf, summaryOf, type Notice } from './notice.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

/** Several sources report one death within moments: the answer to the first waits so long for the others, which may say more. */
const gatherMs = 200
/** A clock that is set must not hide a death that has come near. */
const longestLookMs = 60_000
/** A container that is held in vain does no work, so the pause is short. A store that does not answer takes up to 10 s to fail. */
const usualReleaseRetryMs = 30_000

export type NoticeTriggerParts = Pick<AnnouncedParts, 'book' | 'ledger' | 'vitals'> & {
  /** Ends a held container, unless another pod has resumed from its checkpoint. */
  endKeptOpen: (container: string) => Promise<EndKeptOpen>
  log: EventLog
  /** The pause before a held container is tried to be released again, after the store did not answer. */
  releaseRetryMs?: number
}

/** `releaseAtMs`: when the release is tried again, by Date.now(); infinite while it is being tried. */
type Held = { checkpoint: string; releaseAtMs: number | undefined }
type Due = { tasks: Task[]; answer: Answer; because: Notice }

export class NoticeTrigger implements Trigger {
  readonly name = 'spot'
  readonly #parts: NoticeTriggerParts
  readonly #held = new Map<string, Held>()
  readonly #stopped = new AbortController()
  readonly #announced: AnnouncedCheckpoints
  #board = emptyBoard
  #containers: ReadonlyMap<string, Checkpointable> = new Map()
  #timer: NodeJS.Timeout | undefined
  #gathering = false

  constructor(parts: NoticeTriggerParts) {
    this.#parts = parts
    this.#announced = new AnnouncedCheckpoints({
      ...parts,
      container: (name) => this.#containers.get(name),
      current: (task) => this.#current(task),
      holds: (name, checkpoint) => this.#hold(name, checkpoint),
    })
  }

  get status(): unknown {
    return {
      standing: [...this.#board.standing.values()].map(({ notice, answered }) =>
        Object.assign(summaryOf(notice), {
          answered: strongestOf([...answered.values()])?.answer ?? 'nothing',
        }),
      ),
      held: [...this.#held.keys()],
      lastAnswer: this.#announced.last,
    }
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#containers = containers
    this.#thinkIn(0)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    this.#containers = new Map()
  }

  /** Takes all notices that a source has at the moment. */
  hear(source: string, notices: readonly Notice[]): void {
    // Most answers of most days, one a second.
    if (notices.length === 0 && this.#board.standing.size === 0) return
    const { board, appeared, withdrawn, changed } = hear(this.#board, source, notices, Date.now())
    this.#board = board
    this.#announced.changed()
    if (appeared.length + withdrawn.length + changed.length === 0) return
    // A notice that comes meanwhile does not put it off.
    if (!this.#gathering) this.#thinkIn(gatherMs)
    this.#gathering = true
    this.#parts.book.seen(appeared)
    for (const notice of appeared)
      this.#parts.log.warn({ event: 'notice.heard', notice: summaryOf(notice) }, 'a notice was heard')
    for (const notice of changed)
      this.#parts.log.warn(
        { event: 'notice.changed', notice: summaryOf(notice) },
        'a notice says something else',
      )
    for (const notice of withdrawn)
      this.#parts.log.warn({ event: 'notice.withdrawn', notice: summaryOf(notice) }, 'a notice was withdrawn')
  }

  #thinkIn(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped.signal.aborted) return
    this.#timer = setTimeout(() => this.#think(), Math.min(Math.max(0, ms), longestLookMs)).unref()
  }

  #think(): void {
    this.#gathering = false
    const now = Date.now()
    for (const { tasks, answer, because } of this.#due(now))
      void this.#announced
        .take(tasks, answer, because)
        .catch((error: unknown) =>
          this.#parts.log.error({ event: 'notice.failed', err: error }, 'a notice could not be answered'),
        )
    for (const [name, held] of this.#held)
      if (!asksToHold(this.#board, name, now) && (held.releaseAtMs ?? 0) <= now)
        void this.#endKeptOpen(name, held)
    this.#thinkAgain(now)
  }

  /** The tasks that are due now, and count as done from now on. The containers of one notice are planned together. */
  #due(now: number): Due[] {
    const byNotice = new Map<string, Due>()
    for (const name of this.#containers.keys()) {
      // Its application has ended with a checkpoint.
      if (this.#held.has(name)) continue
      for (const death of deathsOf(this.#board, name, now)) {
        const due = dueFor(this.#board, death, now)
        if (due === undefined) {
          this.#board = noteJoined(this.#board, death, now)
          continue
        }
        this.#board = noteAnswer(this.#board, death, due.answer, now)
        const key = `${keyOf(due.because)} ${String(death.deadline)}`
        const batch = byNotice.get(key) ?? { tasks: [], ...due }
        batch.tasks.push({ death, answer: due.answer, at: now })
        byNotice.set(key, batch)
      }
    }
    return [...byNotice.values()]
  }

  /** The rest of a task when its turn has come. */
  #current({ death, answer, at }: Task): Current | { passOver: string } {
    const now = Date.now()
    const deaths = continuationsOf(this.#board, death, now)
    if (deaths.some((one) => isStronger(answeredFor(this.#board, one, at), answer)))
      return { passOver: 'a graver notice of the same end is answered' }
    const asked = deaths.flatMap(({ deadline, notices }) =>
      notices.map((because) => ({ answer: answerTo(because, now), because, deadline })),
    )
    const most = strongestOf(asked)
    if (most === undefined || most.answer === 'nothing') return { passOver: 'the notice was withdrawn' }
    return isStronger(most.answer, answer) ? { ...most, answer } : most
  }

  /** The container is not held any more, for whatever reason: it runs again, or will. */
  released(name: string): void {
    if (!this.#held.delete(name)) return
    this.#board = noteReleased(this.#board, name)
    // Other notices may be unanswered.
    if (!this.#gathering) this.#thinkIn(0)
  }

  /** Sets the timer for when a notice comes near, or a held container's machine has outlived its end by long. */
  #thinkAgain(now: number): void {
    const notices = [...this.#board.standing.values()].map(({ notice }) => notice)
    const instants = notices.flatMap((notice) => reconsiderAt(notice, now) ?? [])
    if (this.#held.size > 0)
      instants.push(
        ...notices.flatMap(({ deadline }) => (deadline === undefined ? [] : deadline + overdueMs + 1)),
      )
    for (const { releaseAtMs } of this.#held.values())
      if (releaseAtMs !== undefined) instants.push(releaseAtMs)
    const ahead = instants.filter((instant) => instant > now && instant < Number.POSITIVE_INFINITY)
    if (ahead.length > 0) this.#thinkIn(Math.min(...ahead) - now)
  }

  #hold(name: string, checkpoint: string): void {
    this.#held.set(name, { checkpoint, releaseAtMs: undefined })
    // The notice may have been withdrawn during the checkpoint.
    this.#thinkIn(0)
  }

  async #endKeptOpen(name: string, held: Held): Promise<void> {
    const isFirst = held.releaseAtMs === undefined
    held.releaseAtMs = Number.POSITIVE_INFINITY
    const result = await this.#parts.endKeptOpen(name).catch((): EndKeptOpen => ({ outcome: 'unknown' }))
    const event = 'notice.end_overdue' as const
    const about = { event, container: name, checkpoint: held.checkpoint, ...result }
    if (result.outcome !== 'unknown') {
      this.released(name)
      return this.#parts.log.warn(about, releaseSentences[result.outcome])
    }
    if (isFirst) this.#parts.log.warn(about, releaseSentences.unknown)
    const now = Date.now()
    held.releaseAtMs = now + (this.#parts.releaseRetryMs ?? usualReleaseRetryMs)
    // While notices are being gathered, the next look comes sooner than this one.
    if (!this.#gathering) this.#thinkAgain(now)
  }
}

const releaseSentences: Record<EndKeptOpen['outcome'], string> = {
  ended: 'the announced end did not come: the container ends, and goes on from its checkpoint',
  'not-kept-open': 'the announced end did not come, and the container is not held any more',
  'taken-over': 'the announced end did not come, but another pod has the lineage: the container stays held',
  unknown: 'the announced end did not come, and the store does not answer: the container stays held',
}
