/**
 * The checkpoints that announced deaths ask for: planned by the time that is left, taken one container after another, and tried
 * until one is complete, the death is not announced any more, or its time is over.
 */
import type { Log } from '../src/log.ts'
import type { CheckpointLedger } from './checkpoint-ledger.ts'
import { folderSource } from './notice-folder.ts'
import type { Checkpointable } from './triggers/trigger.ts'
import type { Vitals } from './vitals.ts'
import type { Answer } from './notices/answers.ts'
import { told, type Death, type Notice } from './notices/notice.ts'
import { tookMost } from './notices/rates.ts'
import type { SourceBook } from './notices/source-book.ts'
import { deadlineOf, explainPlan, planTimeLeft, type Need, type Step } from './notices/time-plan.ts'

/** Between the end of the checkpoint and that of the machine: what is synced must also be out of the machine. */
const marginMs = 1_000
/** For deaths of which nobody says when, and those that are far: as long as a manual checkpoint gets. */
const patientMs = 600_000
/** A deadline is "not before": a machine that outlived it may have so much longer, and what is begun costs only a pause. */
const afterDeadlineMs = 20_000
/**
 * A dump can fail by chance (a process that ends under it), and a store be away for a while. The last of them again and again until
 * the deadline, where there is one; without one nothing presses, and the interval's checkpoints come as they do.
 */
const retryPausesMs = [1_000, 2_000, 4_000, 8_000, 15_000]
/** Until an application runs that is being started or restored. */
const lookAgainMs = 1_000
/** A timer of Node's that is longer than 2^31 ms ends at once. */
const longestTimerMs = 2 ** 31 - 1

/** What is to be done for a container; what it is by now, `current` tells. */
export type Task = { death: Death; answer: Answer }

export type AnnouncedParts = {
  book: SourceBook
  ledger: CheckpointLedger
  vitals: (container: string) => Promise<Vitals | undefined>
  container: (name: string) => Checkpointable | undefined
  /**
   * What still stands of a task, at most as much as it asked for, and until when it is to be kept up; why nothing is done any more.
   */
  current: (task: Task) => { answer: Answer; because: Notice } | { passOver: string }
  /** It was ended, and is held for this checkpoint. */
  holds: (name: string, checkpoint: string) => void
  log: Log
}

type Outcome = 'taken' | 'failed' | 'skipped'
type Batch = { tasks: readonly Task[]; because: Notice; until: number; note: LastAnswer }
/** For people. */
export type LastAnswer = { at: string; answer: Answer; because: string; detail: string; plan: string }

export class AnnouncedCheckpoints {
  readonly #parts: AnnouncedParts
  readonly #since = performance.now()
  last: LastAnswer | undefined

  constructor(parts: AnnouncedParts) {
    this.#parts = parts
  }

  /** @param tasks that one notice asks for, each for another container and with the same deadline */
  async take(tasks: readonly Task[], answer: Answer, because: Notice): Promise<void> {
    const heardAt = Date.now()
    const { book, ledger } = this.#parts
    const deadline = tasks[0]?.death.deadline
    const wanted =
      answer === 'prepare' ? tasks.filter(({ death }) => ledger.newest(death.container) === undefined) : tasks
    const { source, detail } = because
    this.last = { at: new Date(heardAt).toISOString(), answer, because: source, detail, plan: '' }
    const batch = { tasks: wanted, because, until: untilOf(deadline, heardAt), note: this.last }
    const running = await this.#running(wanted)
    // A container that starts, is restored or is being dumped has its turn when it runs.
    const others = wanted
      .filter((task) => !running.includes(task))
      .map((task) => this.#whenRunning({ ...batch, tasks: [task] }, task))
    const outcomes = [await this.#inTurn({ ...batch, tasks: running }), ...(await Promise.all(others))].flat()
    const askedMs = deadline === undefined ? undefined : deadline - heardAt
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === 'taken'))
      book.led(source, askedMs, Date.now() - heardAt)
  }

  async #running(tasks: readonly Task[]): Promise<Task[]> {
    const vitals = await Promise.all(tasks.map(({ death }) => this.#parts.vitals(death.container)))
    return tasks.filter((_, index) => vitals[index] !== undefined)
  }

  async #whenRunning(batch: Batch, task: Task): Promise<Outcome[]> {
    const name = task.death.container
    this.#parts.log.info(
      { container: name, answer: task.answer },
      'a notice is answered when the application runs',
    )
    while ((await this.#running([task])).length === 0) {
      const current = this.#parts.current(task)
      if ('passOver' in current) return [this.#passOver(name, current.passOver)]
      if (Date.now() >= batch.until) return [this.#passOver(name, 'the application did not run in time')]
      await pause(lookAgainMs)
    }
    return this.#inTurn(batch)
  }

  async #inTurn({ tasks, because, until, note }: Batch): Promise<Outcome[]> {
    const needs = await Promise.all(tasks.map(({ death }) => this.#need(death.container)))
    const steps = planTimeLeft(needs, until - Date.now())
    if (steps.length === 0) return []
    note.plan = explainPlan(steps)
    const answer = tasks[0]?.answer
    this.#parts.log.warn({ notice: told(because), answer, plan: note.plan }, 'a notice is answered')
    const outcomes: Outcome[] = []
    for (const step of steps) {
      const task = tasks.find(({ death }) => death.container === step.container)
      if (task !== undefined)
        outcomes.push(await this.#checkpoint(step, task, deadlineOf(steps, step, until)))
    }
    return outcomes
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

  async #checkpoint({ container: name, plan }: Step, task: Task, until: number): Promise<Outcome> {
    const { ledger, current: currentOf, holds } = this.#parts
    const container = this.#parts.container(name)
    if (container === undefined) return 'failed'
    for (let attempt = 0; ; attempt++) {
      const left = Math.min(Math.max(0, until - Date.now()), longestTimerMs)
      // What is under way may take long: whether the death is still announced is known only when the turn has come.
      await ledger.idle(name, AbortSignal.timeout(left))
      const current = currentOf(task)
      if ('passOver' in current) return this.#passOver(name, current.passOver)
      if (plan === 'keep-last')
        return this.#passOver(name, 'the time left is too short for more than the last complete checkpoint')
      const { answer, because } = current
      // An application that is ended for a checkpoint stands still while it is stored: not for one that will hardly be complete.
      const isAhead = (because.deadline ?? 0) > Date.now()
      const ends = answer === 'checkpoint-and-hold' && plan === 'full' && isAhead
      const outcome = await container.checkpoint({
        // What the owner enables it by.
        trigger: because.source === folderSource ? 'manual' : 'spot',
        reason: `${because.source}: ${because.detail}`.slice(0, 200),
        afterwards: ends ? 'end' : 'resume',
        deadline: until,
      })
      if (outcome.outcome === 'taken') {
        if (ends) holds(name, outcome.id)
        return 'taken'
      }
      const last = task.death.deadline === undefined ? undefined : retryPausesMs.at(-1)
      const pauseMs = retryPausesMs[attempt] ?? last
      if (outcome.reason === 'not-running' || pauseMs === undefined || Date.now() + pauseMs >= until)
        return 'failed'
      await pause(pauseMs)
    }
  }

  #passOver(name: string, reason: string): Outcome {
    this.#parts.ledger.skipped(name, 'spot', reason)
    return 'skipped'
  }
}

function untilOf(deadline: number | undefined, now: number): number {
  if (deadline === undefined) return now + patientMs
  const latest = deadline - marginMs
  return Math.min(now + patientMs, latest > now ? latest : now + afterDeadlineMs)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
