/**
 * Stands between the triggers and a container and records every request with its outcome, for /status, for /metrics and for the
 * expected cost of a checkpoint.
 */
import type { OutcomeOf } from '../../src/outcome.ts'
import { passedOver, type CheckpointOutcome, type CheckpointRequest } from '../checkpoint/request.ts'
import type { Checkpointable } from './trigger.ts'

export type CheckpointEntry = {
  trigger: string
  reason: string
  askedAt: string
  /** From the request to its deadline, and to the answer. */
  leadAskedMs: number
  leadTakenMs: number
  outcome: CheckpointOutcome['outcome'] | 'skipped'
  /** The id of a checkpoint that was taken, else the reason. */
  detail: string
}

/** The cost of one complete checkpoint: its phases in milliseconds (checkpoint.ts) and its size. */
export type Measured = {
  phases: Record<string, number>
  /** Of all its files. */
  bytes: number
  /** The memory of the application just before, where that is known. */
  memoryBytes?: number | undefined
  /** The application ended with it and was stopped until everything was stored. */
  ended?: boolean
}

/** Enough to tell a habit from an accident. */
const kept = 3

export type Newest = {
  id: string
  /** When CRIU stopped the application, in milliseconds since the epoch: for people only, since the clock may be set. */
  at: number
  /** The same by `performance.now()`. */
  monotonicMs: number
  /** The CPU time of the application when CRIU stopped it. */
  cpuMs: number | undefined
  /** The memory of the application just before. */
  memoryBytes: number | undefined
}

type Account = {
  last: CheckpointEntry | undefined
  /** The newest last. */
  measured: Measured[]
  /** The newest complete checkpoint. */
  newest: Newest | undefined
  counts: Map<string, { trigger: string; outcome: CheckpointEntry['outcome']; count: number }>
}

export class CheckpointLedger {
  readonly #accounts = new Map<string, Account>()

  /** The same container for the triggers, with every request recorded. */
  watch(container: Checkpointable): Checkpointable {
    const { plan } = container
    return {
      plan,
      runs: (signal) => container.runs(signal),
      ending: (deadline) => container.ending(deadline),
      checkpoint: (request) => this.#record(plan.name, request, container.checkpoint(request)),
    }
  }

  /** Records that a trigger did not ask for a checkpoint, on purpose. */
  skipped(name: string, trigger: string, reason: string): void {
    const entry = { trigger, reason, askedAt: new Date().toISOString(), leadAskedMs: 0, leadTakenMs: 0 }
    this.#close(this.#of(name), { ...entry, outcome: 'skipped', detail: reason })
  }

  newest(name: string): Newest | undefined {
    return this.#of(name).newest
  }

  measured(name: string): readonly Measured[] {
    return this.#of(name).measured
  }

  last(name: string): CheckpointEntry | undefined {
    return this.#of(name).last
  }

  /** The newest entry of each container. */
  get newestEntries(): [container: string, entry: CheckpointEntry][] {
    return [...this.#accounts].flatMap(([container, { last }]) =>
      last === undefined ? [] : [[container, last]],
    )
  }

  get counts(): { container: string; trigger: string; outcome: CheckpointEntry['outcome']; count: number }[] {
    return [...this.#accounts].flatMap(([container, { counts }]) =>
      [...counts.values()].map((counted) => Object.assign({ container }, counted)),
    )
  }

  async #record(
    name: string,
    request: CheckpointRequest,
    taking: Promise<CheckpointOutcome>,
  ): Promise<CheckpointOutcome> {
    const account = this.#of(name)
    const askedAt = Date.now()
    const monotonicMs = performance.now()
    const leadAskedMs = request.deadline.leftMs
    const outcome = await taking
    if (outcome.outcome === 'failed' && outcome.reason === passedOver) return outcome
    if (outcome.outcome === 'taken') this.#keep(account, outcome, monotonicMs)
    this.#close(account, {
      trigger: request.trigger,
      reason: request.reason,
      askedAt: new Date(askedAt).toISOString(),
      leadAskedMs: Math.round(leadAskedMs),
      leadTakenMs: Math.round(performance.now() - monotonicMs),
      outcome: outcome.outcome,
      detail: outcome.outcome === 'taken' ? outcome.id : outcome.reason,
    })
    return outcome
  }

  /** Several requests may share one checkpoint, which is recorded once. */
  #keep(account: Account, outcome: OutcomeOf<CheckpointOutcome, 'taken'>, askedMs: number): void {
    const { id, phases, bytes, cpuMs, memoryBytes, ended = false, stoppedMs = askedMs } = outcome
    if (account.newest?.id === id) return
    const at = Date.now() - Math.round(performance.now() - stoppedMs)
    account.newest = { id, at, monotonicMs: stoppedMs, cpuMs, memoryBytes }
    if (bytes !== undefined)
      account.measured = [...account.measured, { phases, bytes, memoryBytes, ended }].slice(-kept)
  }

  #close(account: Account, entry: CheckpointEntry): void {
    account.last = entry
    const { trigger, outcome } = entry
    const key = `${trigger} ${outcome}`
    account.counts.set(key, { trigger, outcome, count: (account.counts.get(key)?.count ?? 0) + 1 })
  }

  #of(name: string): Account {
    const known = this.#accounts.get(name)
    if (known !== undefined) return known
    const account: Account = {
      last: undefined,
      measured: [],
      newest: undefined,
      counts: new Map(),
    }
    this.#accounts.set(name, account)
    return account
  }
}
