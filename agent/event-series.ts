/**
 * One Event object of the API: made at the first time that something happens, counted in its `series` after that. The API server forgets an
 * event after an hour; then the next one is made anew.
 */
import { randomBytes } from 'node:crypto'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import { instantOf, statusCodeOf, type Kube, type NewEvent } from './kube.ts'
import { PacedWriter } from './paced-writer.ts'
import { retried } from './retry.ts'

export type EventSeriesParts = {
  kube: Kube
  /** Without its name and its time. */
  event: Omit<NewEvent, 'name' | 'atMs'>
  /** Between two writes. */
  pauseMs: number
  retryPausesMs: readonly number[]
  counted: (outcome: 'written' | 'failed') => void
  log: EventLog
}

export class EventSeries {
  readonly #parts: EventSeriesParts
  readonly #writer: PacedWriter
  #name: string | undefined
  /** Since the object was made. */
  #count = 0
  #lastMs = 0

  constructor(parts: EventSeriesParts) {
    this.#parts = parts
    this.#writer = new PacedWriter(() => this.#write(), parts.pauseMs)
  }

  happened(): void {
    this.#count++
    this.#lastMs = Date.now()
    this.#writer.due()
  }

  stop(): void {
    this.#writer.stop()
  }

  async #write(): Promise<void> {
    const { counted, log, event } = this.#parts
    try {
      await (this.#name === undefined ? this.#make() : this.#tellCount(this.#name))
      counted('written')
    } catch (error) {
      counted('failed')
      const about = { event: 'agent.not_written', reason: event.reason, why: describeError(error) } as const
      log.warn(about, 'an event could not be written')
    }
  }

  async #make(): Promise<void> {
    const { kube, event, retryPausesMs } = this.#parts
    const name = `${event.regarding.name.slice(0, 200).replace(/[-.]+$/, '')}.${randomBytes(8).toString('hex')}`
    const made = { ...event, name, atMs: this.#lastMs }
    await retried(() => kube.createEvent(made).catch(isThere), { pausesMs: retryPausesMs, ref: false })
    this.#name = name
    if (this.#count > 1) this.#writer.due()
  }

  async #tellCount(name: string): Promise<void> {
    const { kube, event, retryPausesMs } = this.#parts
    const series = { count: this.#count, lastObservedTime: instantOf(this.#lastMs) }
    try {
      await retried(() => kube.patchEvent({ namespace: event.regarding.namespace, name }, { series }), { pausesMs: retryPausesMs, ref: false }) // prettier-ignore
    } catch (error) {
      if (statusCodeOf(error) !== 404) throw error
      this.#name = undefined
      this.#count = 1
      await this.#make()
    }
  }
}

/** Made by a try whose answer was lost. */
function isThere(error: unknown): void {
  if (statusCodeOf(error) !== 409) throw error
}
