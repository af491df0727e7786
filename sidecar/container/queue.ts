/**
 * The requests for a checkpoint of one container, in one queue. One checkpoint is under way at a time. Requests that wait meanwhile are
 * joined, and the most urgent one is taken next. A request that ends the application breaks off a checkpoint that is only being stored.
 * Every request is answered by its deadline. The queue does not poll: it looks again after a change, or after a pause.
 */
import type { OutcomeOf } from '../../src/outcome.ts'
import {
  passedOver,
  type CheckpointOutcome,
  type CheckpointRequest,
  type Terms,
} from '../checkpoint/request.ts'

/** A request is answered at most so long after its deadline: at the deadline its checkpoint is aborted and cleans up. */
// @deadline A checkpoint takes longer than `checkpointBudget` | It is cut short, and the user's own `preStop` runs
export const answerGraceMs = 5_000
/** Before each retry of a checkpoint that ends the application. A dump fails, for example, while the CRIU of an earlier sidecar has the tree. */
const endingPausesMs = [200, 1_000, 3_000]
/** A try with less time left cannot succeed. */
const leastMs = 1_000

/** The most urgent first. A request that ends the application comes before any that does not. */
const urgency = ['prestop', 'memory', 'spot', 'disruption', 'node-memory', 'manual', 'interval']

/** The state of the container, as far as a request depends on it. */
export type Situation =
  | 'running'
  /** The application is stopped for a checkpoint, or is about to be. */
  | 'checkpointing'
  | 'not-running'
  /** The application was ended for a checkpoint, and its container is kept open. */
  | { endedWith: CheckpointOutcome }

export type QueueParts = {
  situation: () => Situation
  /** Takes one checkpoint. Resolves with its outcome; never rejects. */
  begin: (request: CheckpointRequest) => Promise<CheckpointOutcome>
  /** Cuts short the storing of the checkpoint that is under way. */
  breakOff: () => void
}

type Entry = {
  request: CheckpointRequest
  answer: (outcome: CheckpointOutcome) => void
  expiry: NodeJS.Timeout | undefined
  /** The failed tries so far. */
  failures: number
  /** The next try, by `performance.now()`. */
  notBeforeMs: number
}

/** `beganMs`: by `performance.now()`. */
type Turn = { entries: Entry[]; isStoring: boolean; isBrokenOff: boolean; beganMs: number }

export class CheckpointQueue {
  readonly #parts: QueueParts
  #pending: Entry[] = []
  #turn: Turn | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(parts: QueueParts) {
    this.#parts = parts
  }

  /** Whether a checkpoint is being stored while the application runs. */
  get isStoring(): boolean {
    return this.#turn?.isStoring === true
  }

  /** Resolves with the outcome by the request's deadline. */
  ask(request: CheckpointRequest): Promise<CheckpointOutcome> {
    return new Promise((resolve) => {
      const entry: Entry = { request, answer: resolve, expiry: undefined, failures: 0, notBeforeMs: 0 }
      entry.answer = (outcome) => {
        clearTimeout(entry.expiry)
        resolve(outcome)
      }
      this.#expire(entry)
      if (request.joinsUnderWay === true && this.#turn !== undefined) this.#turn.entries.push(entry)
      else this.#pending.push(entry)
      this.look()
    })
  }

  /** The checkpoint under way is complete on the local disk, and is only being stored. */
  storing(): void {
    if (this.#turn === undefined) return
    this.#turn.isStoring = true
    this.look()
  }

  /** To be called whenever the situation has changed. */
  look(): void {
    clearTimeout(this.#timer)
    const situation = this.#parts.situation()
    if (typeof situation === 'object') return this.#answer(this.#pending.splice(0), situation.endedWith)
    if (situation === 'not-running') this.#refuse()
    if (this.#turn !== undefined) this.#breakOffForEnd(this.#turn)
    else if (situation === 'running') {
      const best = this.#best()
      if (best !== undefined) return void this.#take(best)
    }
    this.#lookLater()
  }

  /** A timer of Node has a longest time: a far deadline takes several timers. */
  #expire(entry: Entry): void {
    const due = entry.request.deadline.plus(answerGraceMs)
    entry.expiry = setTimeout(() => {
      if (!due.isOver) return this.#expire(entry)
      this.#pending = this.#pending.filter((each) => each !== entry)
      entry.answer({ outcome: 'failed', reason: 'deadline-passed', detail: 'no checkpoint was complete in time' }) // prettier-ignore
    }, due.timerMs)
  }

  #refuse(): void {
    this.#answer(this.#pending.splice(0), {
      outcome: 'failed',
      reason: 'not-running',
      detail: 'the application does not run',
    })
  }

  #breakOffForEnd(turn: Turn): void {
    // With less time left than this one has taken already, the next would not be complete either, and both would be lost.
    const tookMs = performance.now() - turn.beganMs
    const ends = this.#ready().some(
      ({ request }) => request.afterwards === 'end' && request.deadline.leftMs > tookMs,
    )
    if (!ends || !turn.isStoring || turn.isBrokenOff) return
    turn.isBrokenOff = true
    this.#parts.breakOff()
  }

  #ready(): Entry[] {
    const now = performance.now()
    return this.#pending.filter(({ notBeforeMs }) => notBeforeMs <= now)
  }

  /** The most urgent request whose turn has come, by its terms as they are now. */
  #best(): Entry | undefined {
    for (const entry of this.#ready()) {
      const terms: Terms | { passOver: string } = entry.request.atTurn?.() ?? entry.request
      if ('passOver' in terms) {
        this.#pending = this.#pending.filter((each) => each !== entry)
        this.#answer([entry], { outcome: 'failed', reason: passedOver, detail: terms.passOver })
        continue
      }
      const { reason, afterwards, deadline } = terms
      entry.request = { ...entry.request, reason, afterwards, deadline }
    }
    // Between the tries of a request that ends the application no other one stops it: it joins that.
    const isEnding = this.#pending.some(({ request }) => request.afterwards === 'end')
    const ready = this.#ready().filter(({ request }) => !isEnding || request.afterwards === 'end')
    return ready.sort((one, other) => rankOf(one.request) - rankOf(other.request))[0]
  }

  #lookLater(): void {
    const now = performance.now()
    const paused = this.#pending.filter(({ notBeforeMs }) => notBeforeMs > now)
    if (paused.length === 0) return
    const soonestMs = Math.min(...paused.map(({ notBeforeMs }) => notBeforeMs))
    this.#timer = setTimeout(() => this.look(), Math.ceil(soonestMs - now)).unref()
  }

  async #take(best: Entry): Promise<void> {
    const { afterwards } = best.request
    const joins = ({ request }: Entry) => afterwards === 'end' || request.afterwards === 'resume'
    const turn: Turn = {
      entries: this.#pending.filter(joins),
      isStoring: false,
      isBrokenOff: false,
      beganMs: performance.now(),
    }
    this.#pending = this.#pending.filter((entry) => !joins(entry))
    this.#turn = turn
    const { entries } = turn
    const stopped = async () => {
      for (const { request } of entries) await request.stopped?.()
    }
    const outcome = await this.#parts.begin({ ...best.request, stopped })
    this.#turn = undefined
    if (outcome.outcome === 'taken') this.#answer(entries, outcome)
    else for (const entry of entries) this.#failed({ entry, outcome, isBest: entry === best, turn })
    this.look()
  }

  #failed({
    entry,
    outcome,
    isBest,
    turn,
  }: {
    entry: Entry
    outcome: OutcomeOf<CheckpointOutcome, 'failed'>
    isBest: boolean
    turn: Turn
  }): void {
    const { request } = entry
    const wasNotItsOwn = turn.isBrokenOff || (!isBest && outcome.reason === 'deadline-passed')
    if (wasNotItsOwn && !request.deadline.isOver) return void this.#pending.push(entry)
    const pauses = request.retryPausesMs ?? (request.afterwards === 'end' ? endingPausesMs : [])
    const pauseMs = pauses[entry.failures++]
    const { leftMs } = request.deadline
    if (pauseMs === undefined || leftMs < leastMs || outcome.reason === 'not-running')
      return this.#answer([entry], outcome)
    // Not after the deadline: the rest of the grace period belongs to the application.
    entry.notBeforeMs = performance.now() + Math.min(pauseMs, leftMs - leastMs / 2)
    this.#pending.push(entry)
  }

  #answer(entries: readonly Entry[], outcome: CheckpointOutcome): void {
    for (const { answer } of entries) answer(outcome)
  }
}

function rankOf({ afterwards, trigger }: CheckpointRequest): number {
  const at = urgency.indexOf(trigger)
  return (afterwards === 'end' ? 0 : urgency.length) + (at < 0 ? urgency.length - 1 : at)
}
