/**
 * Deaths that others announce. Sources say what stands (`hear`); the board joins it to deaths; the table says what is done; and
 * what is done is done once for each death, for as long as the death is announced.
 */
import type { Log } from '../../src/log.ts'
import type { CheckpointLedger } from '../checkpoint-ledger.ts'
import type { LetGo } from '../container-state.ts'
import { folderSource } from '../notice-folder.ts'
import { answerToDeath, isStronger, reconsiderAt, type Answer } from '../notices/answers.ts'
import {
  answeredFor,
  continuationsOf,
  deathsOf,
  emptyBoard,
  hear,
  noteAnswer,
  overdueMs,
  stands,
} from '../notices/notice-board.ts'
import type { Death, Notice } from '../notices/notice.ts'
import { tookMost } from '../notices/rates.ts'
import type { SourceBook } from '../notices/source-book.ts'
import { explainPlan, planTimeLeft, type Need, type Step } from '../notices/time-plan.ts'
import type { Vitals } from '../vitals.ts'
import type { Checkpointable, Trigger } from './trigger.ts'

/** Several sources tell of one death within moments: the first waits so long for the others, of whom one may say more. */
const gatherMs = 200
/** Between the end of the checkpoint and that of the machine: what is synced must also be out of the machine. */
const marginMs = 1_000
/** For deaths of which nobody says when, and those that are far: as long as a manual checkpoint gets. */
const patientMs = 600_000
/** A dump can fail by chance (a process that ends under it); what is announced gets one more try. */
const tries = 2
/** Before that, and until an application runs that is being started or restored. */
const lookAgainMs = 1_000
/** A timer of Node's that is longer than 2^31 ms ends at once. */
const longestTimerMs = 2 ** 31 - 1

export type NoticeTriggerParts = {
  book: SourceBook
  ledger: CheckpointLedger
  vitals: (container: string) => Promise<Vitals | undefined>
  /** Lets a container go that is held for a checkpoint, unless another pod has gone on from it. */
  letGo: (container: string) => Promise<LetGo>
  log: Log
  /** How long after a store did not answer it is asked again whether a container may be let go. */
  letGoAgainMs?: number
}

/** A container that is held in vain does no work: not long; a store that does not answer takes up to 10 s to say so. */
const usualLetGoAgainMs = 30_000

type Task = { death: Death; answer: Answer; because: Notice; until: number }
type Outcome = 'taken' | 'failed' | 'skipped'
/** `letGoAt`: when it is tried to let it go again; infinite while that is being tried. */
type Held = { death: Death; sinceId: string; letGoAt: number | undefined }

export class NoticeTrigger implements Trigger {
  readonly name = 'spot'
  readonly #parts: NoticeTriggerParts
  readonly #held = new Map<string, Held>()
  readonly #stopped = new AbortController()
  #board = emptyBoard
  #containers: ReadonlyMap<string, Checkpointable> = new Map()
  #timer: NodeJS.Timeout | undefined
  #gathering = false
  #last: { at: string; answer: Answer; because: string; detail: string; plan: string } | undefined
  readonly #since = Date.now()

  constructor(parts: NoticeTriggerParts) {
    this.#parts = parts
  }

  get status(): unknown {
    return {
      standing: [...this.#board.standing.values()].map(({ notice, answered }) =>
        Object.assign(told(notice), { answered }),
      ),
      held: [...this.#held.keys()],
      lastAnswer: this.#last,
    }
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    this.#containers = containers
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    this.#containers = new Map()
  }

  /** All that a source says at the moment. */
  hear(source: string, notices: readonly Notice[]): void {
    const { board, appeared, withdrawn } = hear(this.#board, source, notices)
    this.#board = board
    if (appeared.length + withdrawn.length === 0) return
    this.#parts.book.seen(appeared)
    for (const notice of appeared) this.#parts.log.warn({ notice: told(notice) }, 'a notice was heard')
    for (const notice of withdrawn) this.#parts.log.warn({ notice: told(notice) }, 'a notice was withdrawn')
    // Not put off by what comes meanwhile.
    if (this.#gathering) return
    this.#gathering = true
    this.#thinkIn(gatherMs)
  }

  #thinkIn(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped.signal.aborted) return
    this.#timer = setTimeout(() => this.#think(), Math.min(Math.max(0, ms), longestTimerMs)).unref()
  }

  #think(): void {
    this.#gathering = false
    const now = Date.now()
    for (const death of deathsOf(this.#board, now)) {
      const { answer, because } = answerToDeath(death, now)
      const done = answeredFor(this.#board, death)
      const isNew = because !== undefined && isStronger(answer, done)
      this.#board = noteAnswer(this.#board, death, isNew ? answer : done)
      if (isNew)
        void this.#answer(death, answer, because).catch((error: unknown) =>
          this.#parts.log.error({ err: error }, 'a notice could not be answered'),
        )
    }
    // Whoever has joined since keeps it held when the first is withdrawn.
    for (const held of this.#held.values())
      held.death = continuationsOf(this.#board, held.death, now)[0] ?? held.death
    for (const [name, held] of this.#held)
      if (!stands(this.#board, held.death, now) && (held.letGoAt ?? 0) <= now) void this.#letGo(name, held)
    this.#thinkAgain(now)
  }

  /** When a notice comes near, or a held container's machine is still there long after it should have gone. */
  #thinkAgain(now: number): void {
    const instants = [...this.#board.standing.values()].flatMap(
      ({ notice }) => reconsiderAt(notice, now) ?? [],
    )
    for (const { death, letGoAt } of this.#held.values()) {
      if (letGoAt !== undefined) instants.push(letGoAt)
      for (const { deadline } of death.notices)
        if (deadline !== undefined) instants.push(deadline + overdueMs + 1)
    }
    const ahead = instants.filter((instant) => instant > now && instant < Number.POSITIVE_INFINITY)
    if (ahead.length > 0) this.#thinkIn(Math.min(...ahead) - now)
  }

  async #answer(death: Death, answer: Answer, because: Notice): Promise<void> {
    const heardAt = Date.now()
    const { book, ledger } = this.#parts
    const { container, deadline } = death
    const names = [...this.#containers.keys()].filter((name) => container === undefined || name === container)
    const wanted = answer === 'prepare' ? names.filter((name) => ledger.newest(name) === undefined) : names
    const until = Math.min(heardAt + patientMs, (deadline ?? Number.POSITIVE_INFINITY) - marginMs)
    const task: Task = { death, answer, because, until }
    const running = await this.#running(wanted)
    // A container that starts, is restored or is being dumped has its turn when it runs.
    const others = wanted
      .filter((name) => !running.includes(name))
      .map((name) => this.#whenRunning(name, task))
    this.#last = {
      at: new Date(heardAt).toISOString(),
      answer,
      because: because.source,
      detail: because.detail,
      plan: '',
    }
    const outcomes = [await this.#inTurn(running, task), ...(await Promise.all(others))].flat()
    const askedMs = deadline === undefined ? undefined : deadline - heardAt
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'taken'))
      book.led(because.source, askedMs, Date.now() - heardAt)
  }

  async #running(names: readonly string[]): Promise<string[]> {
    const vitals = await Promise.all(names.map((name) => this.#parts.vitals(name)))
    return names.filter((_, index) => vitals[index] !== undefined)
  }

  async #whenRunning(name: string, task: Task): Promise<Outcome[]> {
    this.#parts.log.info(
      { container: name, answer: task.answer },
      'a notice is answered when the application runs',
    )
    while ((await this.#running([name])).length === 0) {
      if (!stands(this.#board, task.death, Date.now())) return [this.#passOver(name)]
      if (Date.now() >= task.until) return [this.#passOver(name, 'the application did not run in time')]
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs).unref())
    }
    return this.#inTurn([name], task)
  }

  async #inTurn(names: readonly string[], task: Task): Promise<Outcome[]> {
    const needs = await Promise.all(names.map((name) => this.#need(name)))
    const steps = planTimeLeft(needs, task.until - Date.now())
    if (steps.length === 0) return []
    const plan = explainPlan(steps)
    if (this.#last !== undefined) this.#last.plan = plan
    this.#parts.log.warn({ notice: told(task.because), answer: task.answer, plan }, 'a notice is answered')
    const outcomes: Outcome[] = []
    for (const step of steps) outcomes.push(await this.#checkpoint(step, task))
    return outcomes
  }

  async #need(container: string): Promise<Need> {
    const { ledger, vitals } = this.#parts
    const newest = ledger.newest(container)
    return {
      container,
      took: tookMost(ledger.measured(container)),
      memoryBytes: (await vitals(container))?.memoryBytes ?? 0,
      unsavedMs: Date.now() - (newest?.at ?? this.#since),
      hasCheckpoint: newest !== undefined,
    }
  }

  async #checkpoint(
    { container: name, plan }: Step,
    { death, answer, because, until }: Task,
  ): Promise<Outcome> {
    const { ledger } = this.#parts
    const container = this.#containers.get(name)
    if (container === undefined) return 'failed'
    // An application that is ended for a checkpoint stands still while it is stored: not for one that will hardly be complete.
    const ends = answer === 'checkpoint-and-hold' && plan === 'full'
    for (let attempt = 1; ; attempt++) {
      const left = Math.min(Math.max(0, until - Date.now()), longestTimerMs)
      // What is under way may take long: whether the death is still announced is known only when the turn has come.
      await ledger.idle(name, AbortSignal.timeout(left))
      if (!stands(this.#board, death, Date.now())) return this.#passOver(name)
      if (this.#isOutdone(death, answer))
        return this.#passOver(name, 'a graver notice of the same end is answered')
      if (plan === 'keep-last')
        return this.#passOver(name, 'the time left is too short for more than the last complete checkpoint')
      const outcome = await container.checkpoint({
        // What the owner enables it by.
        trigger: because.source === folderSource ? 'manual' : this.name,
        reason: `${because.source}: ${because.detail}`.slice(0, 200),
        afterwards: ends ? 'end' : 'resume',
        deadline: until,
      })
      if (outcome.outcome === 'taken') {
        if (ends) this.#hold(name, death, outcome.id)
        return 'taken'
      }
      if (outcome.reason === 'not-running' || attempt >= tries || Date.now() + lookAgainMs >= until)
        return 'failed'
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs).unref())
    }
  }

  /** While it waited for its turn, another notice of the same death asked for more. */
  #isOutdone(death: Death, answer: Answer): boolean {
    return continuationsOf(this.#board, death, Date.now()).some((now) =>
      isStronger(answeredFor(this.#board, now), answer),
    )
  }

  #passOver(name: string, reason = 'the notice was withdrawn'): Outcome {
    this.#parts.ledger.skipped(name, this.name, reason)
    return 'skipped'
  }

  #hold(name: string, death: Death, sinceId: string): void {
    this.#held.set(name, { death, sinceId, letGoAt: undefined })
    // It may have been withdrawn while the checkpoint was taken.
    this.#thinkIn(0)
  }

  async #letGo(name: string, held: Held): Promise<void> {
    const isFirst = held.letGoAt === undefined
    held.letGoAt = Number.POSITIVE_INFINITY
    const result = await this.#parts.letGo(name).catch((): LetGo => ({ outcome: 'unknown' }))
    const about = { container: name, checkpoint: held.sinceId, ...result }
    if (result.outcome !== 'unknown') {
      this.#held.delete(name)
      return this.#parts.log.warn(about, letGoWords[result.outcome])
    }
    if (isFirst) this.#parts.log.warn(about, letGoWords.unknown)
    const now = Date.now()
    held.letGoAt = now + (this.#parts.letGoAgainMs ?? usualLetGoAgainMs)
    // Notices that are being gathered are thought about sooner, and this with them.
    if (!this.#gathering) this.#thinkAgain(now)
  }
}

const letGoWords: Record<LetGo['outcome'], string> = {
  'let-go': 'the announced end did not come: the container ends, and goes on from its checkpoint',
  'not-held': 'the announced end did not come, and the container is not held any more',
  'taken-over': 'the announced end did not come, but another pod has the lineage: the container stays held',
  unknown: 'the announced end did not come, and the store does not answer: the container stays held',
}

function told({ source, kind, container, deadline, certainty, detail }: Notice): Record<string, unknown> {
  return { source, kind, container, deadline: instant(deadline), certainty, detail }
}

function instant(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
