/**
 * The checkpoints that announced deaths ask for: planned by the time that is left, taken one container after another, planned anew for the rest after
 * each, and tried until it is complete, the death is not announced any more, or its time is over.
 */
import { Deadline } from '../../../src/deadline.ts'
import type { EventLog } from '../../../src/log.ts'
import type { CheckpointEntry, CheckpointLedger } from '../../container/ledger.ts'
import { folderSource } from './notice-folder.ts'
import type { Checkpointable } from '../../container/trigger.ts'
import type { Vitals } from '../../proc/vitals.ts'
import type { Answer } from './answers.ts'
import { agentSource, summaryOf, type Death, type Notice } from './notice.ts'
import { tookMost } from '../../container/rates.ts'
import type { SourceBook } from './source-book.ts'
import { deadlineOf, explainPlan, planTimeLeft, type Need, type Step } from './time-plan.ts'

/** Between the end of the checkpoint and that of the machine: what is synced must also be out of the machine. */
const marginMs = 1_000
/** For deaths of which nobody says when, and those that are far: as long as a manual checkpoint gets. */
const patientMs = 600_000
/** A deadline is "not before": a machine that outlives it may have so much longer, and what is begun then costs only a pause. */
const afterDeadlineMs = 20_000
/**
 * A dump can fail by chance (a process that ends under it), and a store be away for a while. The last of them again and again until
 * the deadline, where there is one; without one nothing presses, and the interval's checkpoints come as they do.
 */
const retryPausesMs = [1_000, 2_000, 4_000, 8_000, 15_000]
/** What the owner enables a source by; the clouds by `spot`. */
const ownersTriggers: Readonly<Record<string, string>> = {
  [folderSource]: 'manual',
  [agentSource]: 'disruption',
}
/** What begins with less than this left comes to nothing. */
const leastMs = 1_000

/** A task for a container; `current` gives its state by now. `at`: when it was decided, by Date.now(). */
export type Task = { death: Death; answer: Answer; at: number }

export type Current = { answer: Answer; because: Notice; deadline: number | undefined }

export type AnnouncedParts = {
  book: SourceBook
  ledger: CheckpointLedger
  vitals: (container: string) => Promise<Vitals | undefined>
  container: (name: string) => Checkpointable | undefined
  /** The rest of a task, at most as much as it asked for; or why nothing is done any more. */
  current: (task: Task) => Current | { passOver: string }
  /** It was ended, and is held for this checkpoint. */
  holds: (name: string, checkpoint: string) => void
  log: EventLog
}

type Ended = CheckpointEntry['outcome']
type PassOver = { passOver: string; isDone?: 'taken' | 'skipped' }
/** For people. */
export type LastAnswer = { at: string; answer: Answer; because: string; detail: string; plan: string }

type Pending = { task: Task; name: string; failures: number; nextAt: number; isLogged: boolean }
type Batch = {
  pending: Pending[]
  outcomes: Ended[]
  because: Notice
  heardAt: number
  /** By the clock that the ledger goes by. */
  began: number
  /** In the order in which they were planned first. */
  steps: Map<string, Step>
  note: LastAnswer
}

export class AnnouncedCheckpoints {
  readonly #parts: AnnouncedParts
  readonly #since = performance.now()
  last: LastAnswer | undefined
  readonly #wakers = new Set<() => void>()

  constructor(parts: AnnouncedParts) {
    this.#parts = parts
  }

  /** @param tasks that one notice asks for, each for another container and with the same deadline */
  async take(tasks: readonly Task[], answer: Answer, because: Notice): Promise<void> {
    const heardAt = Date.now()
    const deadline = tasks[0]?.death.deadline
    const { source, detail } = because
    this.last = { at: new Date(heardAt).toISOString(), answer, because: source, detail, plan: '' }
    const pending = tasks.map((task) => ({ task, name: task.death.container, failures: 0, nextAt: 0, isLogged: false })) // prettier-ignore
    const times = { heardAt, began: performance.now() }
    const batch: Batch = { pending, outcomes: [], because, ...times, steps: new Map(), note: this.last }
    while (batch.pending.length > 0) await this.#next(batch)
    const { outcomes } = batch
    const askedMs = deadline === undefined ? undefined : deadline - heardAt
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'taken'))
      this.#parts.book.led(source, askedMs, Date.now() - heardAt)
  }

  /** One container's turn, or a pause where none has one. */
  async #next(batch: Batch): Promise<void> {
    for (const one of batch.pending) {
      const current = this.#current(one, batch)
      if ('passOver' in current) this.#passOver(batch, one, current)
    }
    const ready = batch.pending.filter(({ nextAt }) => nextAt <= Date.now())
    const vitals = await Promise.all(ready.map(({ name }) => this.#parts.vitals(name)))
    const running = ready.filter((_, index) => vitals[index] !== undefined)
    if (running.length > 0) return this.#turn(batch, running)
    for (const one of ready) this.#waits(batch, one)
    if (batch.pending.length > 0) await this.#change(batch)
  }

  /** A container that starts, is restored or is being dumped has its turn when it runs. */
  #waits(batch: Batch, one: Pending): void {
    const { name, task, isLogged } = one
    if (Date.now() >= this.#until(one, batch))
      return this.#end(batch, one, 'skipped', 'the application did not run in time')
    if (!isLogged)
      this.#parts.log.info({ event: 'notice.waiting', container: name, answer: task.answer }, 'a notice is answered when the application runs') // prettier-ignore
    one.isLogged = true
  }

  /** Resolves when one of the applications runs, what is announced has changed, or the next of the pauses or deadlines is over. */
  async #change(batch: Batch): Promise<void> {
    const over = new AbortController()
    const now = Date.now()
    const waiting = batch.pending.filter(({ nextAt }) => nextAt <= now)
    const instants = batch.pending.map((one) => (one.nextAt > now ? one.nextAt : this.#until(one, batch)))
    const timer = setTimeout(() => over.abort(), Math.max(10, Math.min(...instants) - now)).unref()
    const changed = new Promise<void>((resolve) => {
      over.signal.addEventListener('abort', () => resolve())
      this.#wakers.add(resolve)
      over.signal.addEventListener('abort', () => this.#wakers.delete(resolve))
    })
    const runs = waiting.map(({ name }) => this.#parts.container(name)?.runs(over.signal) ?? changed)
    await Promise.race([changed, ...runs])
    clearTimeout(timer)
    over.abort()
  }

  /** What is announced has changed: whoever waits looks again. */
  changed(): void {
    for (const wake of this.#wakers) wake()
  }

  async #turn(batch: Batch, running: readonly Pending[]): Promise<void> {
    const until = Math.min(...running.map((one) => this.#until(one, batch)))
    const needs = await Promise.all(running.map(({ name }) => this.#need(name)))
    const steps = planTimeLeft(needs, until - Date.now())
    this.#report(batch, steps)
    const [step] = steps
    const one = running.find(({ name }) => name === step?.container)
    if (step === undefined || one === undefined) return
    if (step.plan === 'keep-last')
      return this.#end(batch, one, 'skipped', 'the time left is too short for more than the last complete checkpoint') // prettier-ignore
    await this.#checkpoint(batch, one, step, deadlineOf(steps, step, until))
  }

  /** Once for each container, and when its plan becomes another. */
  #report({ because, note, steps: known, pending }: Batch, steps: readonly Step[]): void {
    const isNew = steps.some(({ container, plan }) => known.get(container)?.plan !== plan)
    for (const step of steps) known.set(step.container, step)
    if (!isNew) return
    note.plan = explainPlan([...known.values()])
    const answer = pending[0]?.task.answer
    this.#parts.log.warn(
      { event: 'notice.answered', notice: summaryOf(because), answer, plan: note.plan },
      'a notice is answered',
    )
  }

  async #checkpoint(batch: Batch, one: Pending, { plan }: Step, until: number): Promise<void> {
    const { holds } = this.#parts
    const { name } = one
    const container = this.#parts.container(name)
    if (container === undefined) return this.#end(batch, one, 'failed')
    let passed: PassOver | undefined
    let ends = false
    let source = ''
    // What is under way may take long: whether the death is still announced is known only when the request's turn has come.
    const atTurn = () => {
      const current = this.#current(one, batch)
      passed = 'passOver' in current ? current : undefined
      if ('passOver' in current) return current
      const { answer, because, deadline } = current
      source = because.source
      // An application that is ended for a checkpoint stands still while it is stored: not for one that will hardly be complete in time.
      ends = answer === 'checkpoint-and-hold' && plan === 'full' && until < (deadline ?? 0)
      const reason = `${source}: ${because.detail}`.slice(0, 200)
      return { reason, afterwards: ends ? 'end' : 'resume', deadline: Deadline.at(until) } as const
    }
    const terms = atTurn()
    if ('passOver' in terms) return this.#passOver(batch, one, terms)
    const trigger = ownersTriggers[source] ?? 'spot'
    const outcome = await container.checkpoint({ trigger, ...terms, atTurn, retryPausesMs: [] })
    if (passed !== undefined) return this.#passOver(batch, one, passed)
    if (outcome.outcome === 'taken') {
      if (ends) holds(name, outcome.id)
      return this.#end(batch, one, 'taken')
    }
    // It died, and may be started again.
    if (outcome.reason === 'not-running') return this.#waits(batch, one)
    this.#again(batch, one)
  }

  #again(batch: Batch, one: Pending): void {
    const now = Date.now()
    const deadline = this.#deadline(one)
    const leftMs = this.#until(one, batch) - now
    const pauseMs =
      retryPausesMs[one.failures++] ?? (deadline === undefined ? undefined : retryPausesMs.at(-1))
    const isOver = deadline === undefined || now >= deadline - marginMs
    if (pauseMs === undefined || (leftMs < leastMs && isOver)) return this.#end(batch, one, 'failed')
    // Towards the end more often; and what the machine outlives has its time from then on.
    one.nextAt = now + (leftMs < leastMs ? leftMs : Math.min(pauseMs, Math.max(leastMs, leftMs / 2)))
  }

  /** What still stands, and has not been done meanwhile by whoever else takes checkpoints. */
  #current({ task, name }: Pending, { began }: Batch): Current | PassOver {
    const current = this.#parts.current(task)
    if ('passOver' in current || current.answer === 'checkpoint-and-hold') return current
    const newest = this.#parts.ledger.newest(name)
    if (newest === undefined) return current
    if (current.answer === 'prepare') return { passOver: 'there is a checkpoint', isDone: 'skipped' }
    const isNewer = newest.monotonicMs >= began
    return isNewer ? { passOver: 'a checkpoint was taken since it was heard', isDone: 'taken' } : current
  }

  #deadline({ task }: Pick<Pending, 'task'>): number | undefined {
    const current = this.#parts.current(task)
    return 'passOver' in current ? task.death.deadline : current.deadline
  }

  /** By when it must be complete. What the machine outlives has a little more. */
  #until({ task }: Pending, { heardAt }: Batch): number {
    const deadline = this.#deadline({ task })
    if (deadline === undefined) return heardAt + patientMs
    if (Date.now() < deadline - marginMs) return Math.min(heardAt + patientMs, deadline - marginMs)
    return Math.max(deadline, heardAt) + afterDeadlineMs
  }

  async #need(container: string): Promise<Need> {
    const { ledger, vitals } = this.#parts
    const newest = ledger.newest(container)
    return {
      container,
      took: tookMost(ledger.measured(container)),
      memoryBytes: (await vitals(container))?.memoryBytes ?? 0,
      unsavedMs: performance.now() - (newest?.monotonicMs ?? this.#since),
      hasCheckpoint: newest !== undefined,
    }
  }

  /** What is done already was not left out. */
  #passOver(batch: Batch, one: Pending, { passOver, isDone }: PassOver): void {
    this.#end(batch, one, isDone ?? 'skipped', isDone === undefined ? passOver : undefined)
  }

  #end(batch: Batch, one: Pending, outcome: Ended, reason?: string): void {
    batch.pending = batch.pending.filter((each) => each !== one)
    batch.outcomes.push(outcome)
    if (reason !== undefined) this.#parts.ledger.skipped(one.name, 'spot', reason)
  }
}
