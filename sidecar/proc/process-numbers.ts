/**
 * Where the pod's next processes get their numbers: not where a checkpoint that waits for its restore needs them. A neighbour that runs
 * already would take them, and the restore would fail ("Can't fork for N: File exists"). The kernel counts on from the last number for
 * the whole pod, so the sidecar moves that on to the widest gap, and looks once a second whether the pod has left it.
 */
import { readFileSync } from 'node:fs'
import type { EventLog } from '../../src/log.ts'
import { applicationRange, asideRange, isWithin, setLastPid, widestGap, type Gap } from './pid-range.ts'
import { everyProcess, threadsOf } from './process-tree.ts'

const lookEveryMs = 1_000
/** A program that starts 2,000 processes in a second leaves its gap between two looks. */
const marginPids = 2_000
/** The kubelet starts a crashed container again after five minutes at the latest. */
const asideMs = 330_000

export class ProcessNumbers {
  readonly #wanted = new Map<string, readonly number[]>()
  readonly #log: EventLog
  readonly #set: (pid: number) => Promise<boolean>
  #gap: Gap = applicationRange
  #hasBegun = false
  #asideUntil = 0
  #isMoving = false

  constructor(log: EventLog, set = (pid: number) => setLastPid(pid, log)) {
    this.#log = log
    this.#set = set
  }

  /** @param pids the numbers that a restore of this container may need */
  want(container: string, pids: readonly number[]): void {
    this.#wanted.set(container, pids)
  }

  /** The container runs. */
  settled(container: string): void {
    this.#asideUntil = 0
    this.#wanted.delete(container)
    if (this.#wanted.size === 0) this.#gap = applicationRange
  }

  /** Gives the next processes of the pod numbers that neither a living task has nor a restore needs. */
  async moveOn(): Promise<void> {
    this.#asideUntil = 0
    const living = await threadsOf(await everyProcess())
    const gap = widestGap([...living, ...[...this.#wanted.values()].flat()])
    if (this.#wanted.size > 0) this.#gap = gap
    await this.#set(gap.from)
  }

  /** Gives them numbers above the range: a container ends, and its next launcher must take no number of its own checkpoint. */
  async moveAside(): Promise<void> {
    this.#asideUntil = performance.now() + asideMs
    await this.#set(asideRange.from)
  }

  /** Looks once a second, from now on. */
  watch(): void {
    setInterval(() => void this.look(lastPid()), lookEveryMs).unref()
  }

  /** @param last the number that was given last */
  async look(last: number): Promise<void> {
    if (this.#isMoving) return
    this.#isMoving = true
    try {
      if (performance.now() < this.#asideUntil) {
        if (!isWithin(last, asideRange)) await this.#set(asideRange.from)
      } else if (this.#isLeaving(last)) await this.moveOn()
    } catch (error) {
      this.#log.warn(
        { event: 'next_pid.unset', err: error },
        'the next process number could not be set: a restore may find its numbers taken',
      )
    } finally {
      this.#isMoving = false
    }
  }

  /** Before the first application starts, the numbers are below the range. */
  #isLeaving(last: number): boolean {
    const { from, to } = this.#gap
    if (last < applicationRange.from) return this.#hasBegun
    this.#hasBegun = true
    return last < from || last > to - Math.min(marginPids, (to - from) / 4)
  }
}

/** proc(5), /proc/loadavg: the process that was started last, in the process namespace of the reader. */
function lastPid(): number {
  return Number(readFileSync('/proc/loadavg', 'latin1').trim().split(' ').at(-1))
}
