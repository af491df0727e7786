/**
 * Sidecars keep their own namespace in the store tidy, since nobody else may be there to do it: after a prune, at most once an hour, and for a
 * short time only.
 */
import type { EventLog } from '../../src/log.ts'
import { usualTtlMs, type PodPlan } from '../../src/pod-plan.ts'
import { exists } from '../../src/exists.ts'
import type { Retention } from '../../src/store/retention.ts'
import type { Store } from '../../src/store/store.ts'
import type { SweepOptions } from '../../src/store/sweep-store.ts'
import { lockFile } from './lock-process.ts'

const everyMs = 3_600_000
// @deadline A sweep of the pod's namespace does not end | It is cut short, and the next one goes on
const sweepDeadlineMs = 30_000
const mostSlots = 200

/** Takes the lock of a slot without waiting. A file system without locks vetoes nothing. @param launcher which locks */
export function sweepLock(signal: AbortSignal, launcher?: string): SweepOptions['lock'] {
  return async (file) => {
    // To lock a file that is not there would make it, as a sign of life.
    if (!(await exists(file))) return () => undefined
    const locked = await lockFile(file, 0, signal, { launcher })
    if (locked.outcome === 'locked') return () => locked.process.stdin?.destroy()
    return locked.outcome === 'impossible' ? () => undefined : undefined
  }
}

export class NamespaceSweep {
  readonly #store: Store
  readonly #namespace: string
  readonly #retention: Retention
  readonly #log: EventLog
  #nextMs = 0

  constructor(
    store: Store,
    { namespace, retention }: Pick<PodPlan, 'namespace' | 'retention'>,
    log: EventLog,
  ) {
    this.#store = store
    this.#namespace = namespace
    this.#retention = { ttlMs: usualTtlMs, ...retention }
    this.#log = log
  }

  /** Never rejects. */
  async sweep(nowMs = performance.now()): Promise<void> {
    if (nowMs < this.#nextMs) return
    this.#nextMs = nowMs + everyMs
    const signal = AbortSignal.timeout(sweepDeadlineMs)
    const about = { namespace: this.#namespace, retention: this.#retention, mostSlots }
    try {
      const swept = await this.#store.sweep({ ...about, lock: sweepLock(signal) }, signal)
      if (swept.length > 0)
        this.#log.info({ event: 'store.swept', swept }, 'lineages that ended were removed from the store')
    } catch (error) {
      this.#log.warn({ event: 'store.not_swept', err: error }, 'the store could not be swept')
    }
  }
}
