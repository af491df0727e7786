/**
 * A checkpoint from time to time, for the deaths that nobody announces: it bounds what can be lost. Every container has a
 * turn of its own; any complete checkpoint, whoever asked for it, begins the interval anew.
 */
import { Deadline } from '../../../src/deadline.ts'
import { isLasting } from '../../../src/dump-obstacles.ts'
import type { EventLog } from '../../../src/log.ts'
import type { IntervalPlan } from '../../../src/pod-plan.ts'
import type { CheckpointLedger } from '../../container/ledger.ts'
import { madeProgress } from './progress.ts'
import { firstPauseMs, pauseMs } from './schedule.ts'
import { autoIntervalMs } from './young-daly.ts'
import type { Vitals } from '../../proc/vitals.ts'
import type { Checkpointable, Trigger } from '../../container/trigger.ts'

/** What a manual checkpoint gets: nobody waits for it. */
// @deadline A periodic checkpoint does not end | It is given up
const deadlineMs = 600_000
/** An application that does not run, or made no progress, is looked at again so soon at the latest. */
const lookAgainMs = 60_000
/** A dump that fails stops the application for nothing: it is retried ever more seldom, up to this, and at once so where the program cannot be saved. */
const longestAfterFailureMs = 3_600_000
/** The last instant that a Date can tell (ECMA-262, time values). */
const lastInstant = 8.64e15
/** A timer of Node's that is longer than 2^31 ms ends at once. */
const longestTimerMs = 2 ** 31 - 1

export type IntervalTriggerParts = {
  interval: Exclude<IntervalPlan, 'off'>
  meanTimeBetweenFailuresMs: number
  lineage: string
  ledger: CheckpointLedger
  /** Undefined while there is nothing that should be saved. */
  vitals: (container: string) => Promise<Vitals | undefined>
  /** For how long a checkpoint would stop the application; undefined where that is not known. */
  freezeMs: (container: string, memoryBytes: number) => Promise<number | undefined>
  /** For how long a periodic one may. */
  maxFreezeMs: number
  log: EventLog
}

type Turn = {
  container: Checkpointable
  timer: NodeJS.Timeout | undefined
  /** By `performance.now()`, as all that is reckoned here: a clock that is set back would stop the checkpoints for as long. */
  due: number
  count: number
  /** In a row. */
  failures: number
  /** Milliseconds since the epoch, for people. */
  skippedSince: number | undefined
  tooLong: { since: number; expectedMs: number } | undefined
}

export class IntervalTrigger implements Trigger {
  readonly name = 'interval'
  readonly #parts: IntervalTriggerParts
  readonly #turns = new Map<string, Turn>()
  #stopped = false

  constructor(parts: IntervalTriggerParts) {
    this.#parts = parts
  }

  get status(): unknown {
    return [...this.#turns].map(([container, { due, skippedSince, tooLong }]) => ({
      container,
      everyMs: Math.round(this.#intervalMs(container)),
      nextAt: new Date(Math.min(Date.now() + due - performance.now(), lastInstant)).toISOString(),
      noProgressSince: skippedSince === undefined ? undefined : new Date(skippedSince).toISOString(),
      tooLongSince: tooLong && new Date(tooLong.since).toISOString(),
      expectedFreezeMs: tooLong && Math.round(tooLong.expectedMs),
    }))
  }

  async start(containers: ReadonlyMap<string, Checkpointable>): Promise<void> {
    for (const [name, container] of containers) {
      const turn: Turn = {
        container,
        timer: undefined,
        due: 0,
        count: 0,
        failures: 0,
        skippedSince: undefined,
        tooLong: undefined,
      }
      this.#turns.set(name, turn)
      this.#dueIn(name, turn, firstPauseMs(this.#intervalMs(name), this.#parts.lineage, name))
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const { timer } of this.#turns.values()) clearTimeout(timer)
    this.#turns.clear()
  }

  #intervalMs(name: string): number {
    const { interval, ledger, meanTimeBetweenFailuresMs } = this.#parts
    if (interval !== 'auto') return interval.everyMs
    return autoIntervalMs(ledger.measured(name), meanTimeBetweenFailuresMs)
  }

  #dueIn(name: string, turn: Turn, ms: number): void {
    if (this.#stopped) return
    clearTimeout(turn.timer)
    turn.due = performance.now() + ms
    const work = () =>
      this.#take(name, turn).catch((error: unknown) => {
        this.#parts.log.error(
          { event: 'interval.failed', err: error, container: name },
          'a periodic checkpoint could not be asked for',
        )
        this.#dueIn(name, turn, lookAgainMs)
      })
    turn.timer = setTimeout(() => void work(), Math.min(ms, longestTimerMs)).unref()
  }

  async #take(name: string, turn: Turn): Promise<void> {
    // The longest timer may be shorter than the pause.
    const dueIn = Math.max(turn.due - performance.now(), this.#leftMs(name, turn))
    if (dueIn > 0) return this.#dueIn(name, turn, dueIn)
    const again = Math.min(lookAgainMs, this.#intervalMs(name))
    const vitals = await this.#parts.vitals(name)
    if (vitals === undefined) return this.#dueIn(name, turn, again)
    if (!this.#madeProgress(name, vitals)) {
      this.#skip(name, turn)
      return this.#dueIn(name, turn, again)
    }
    turn.skippedSince = undefined
    if (await this.#isTooLong(name, turn, vitals)) return this.#dueIn(name, turn, again)
    // To measure the files takes seconds: another checkpoint may have been taken meanwhile, or the sidecar may end.
    const leftMs = this.#leftMs(name, turn)
    if (leftMs > 0 || this.#stopped) return this.#dueIn(name, turn, leftMs)
    turn.count++
    const outcome = await turn.container.checkpoint({
      trigger: this.name,
      reason: this.#reason(name),
      afterwards: 'resume',
      deadline: Deadline.in(deadlineMs),
      joinsUnderWay: true,
    })
    turn.failures = outcome.outcome === 'taken' ? 0 : turn.failures + 1
    if (outcome.outcome === 'taken') return this.#dueIn(name, turn, this.#leftMs(name, turn))
    const later = Math.min(again * 2 ** Math.min(turn.failures - 1, 30), longestAfterFailureMs)
    this.#dueIn(name, turn, isLasting(outcome.reason) ? longestAfterFailureMs : later)
  }

  #madeProgress(name: string, now: Vitals): boolean {
    const newest = this.#parts.ledger.newest(name)
    if (newest?.cpuMs === undefined) return true
    return madeProgress({ cpuMs: newest.cpuMs, memoryBytes: newest.memoryBytes }, now)
  }

  /** Until the interval since the newest complete checkpoint, of whatever trigger, is over; 0 where there is none. */
  #leftMs(name: string, turn: Turn): number {
    const newest = this.#parts.ledger.newest(name)
    if (newest === undefined) return 0
    const pause = pauseMs(this.#intervalMs(name), this.#parts.lineage, name, turn.count)
    return Math.max(0, newest.monotonicMs + pause - performance.now())
  }

  #skip(name: string, turn: Turn): void {
    this.#parts.ledger.skipped(name, this.name, 'no progress since the last checkpoint')
    if (turn.skippedSince !== undefined) return
    turn.skippedSince = Date.now()
    this.#parts.log.info(
      { event: 'interval.skipped', container: name },
      'a periodic checkpoint was skipped: the application neither computed nor changed its memory since the last one',
    )
  }

  /** A pause that nobody asked for must not break what relies on the application. */
  async #isTooLong(name: string, turn: Turn, { memoryBytes }: Vitals): Promise<boolean> {
    const { freezeMs, maxFreezeMs, ledger, log } = this.#parts
    const expectedMs = await freezeMs(name, memoryBytes).catch((error: unknown) => {
      log.warn({ event: 'interval.not_measured', err: error, container: name }, 'how long a checkpoint would stop the application could not be estimated') // prettier-ignore
      return undefined
    })
    if (expectedMs === undefined || expectedMs <= maxFreezeMs) {
      turn.tooLong = undefined
      return false
    }
    ledger.skipped(name, this.name, `it would stop the application for longer than maxFreeze`)
    if (turn.tooLong === undefined)
      log.warn(
        { event: 'interval.too_long', container: name, expectedMs: Math.round(expectedMs), maxFreezeMs },
        'no periodic checkpoint was begun: it would stop the application for longer than maxFreeze',
      )
    turn.tooLong = { since: turn.tooLong?.since ?? Date.now(), expectedMs }
    return true
  }

  #reason(name: string): string {
    const every = `every ${Math.round(this.#intervalMs(name) / 1_000)} s`
    return this.#parts.interval === 'auto' ? `${every}, reckoned from what checkpoints cost` : every
  }
}
