/**
 * A list of the API that is kept up to date: listed once, then watched from its resource version on. A watch that ends goes on from the
 * newest version that was heard, bookmarks included; a version that the API server no longer knows (410 Gone) leads to a new list. What was
 * known stays known meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import { isRecord } from '../src/shape.ts'
import { statusCodeOf, type Kube, type Watched, type WatchEvent } from './kube.ts'

const [firstPauseMs, longestPauseMs] = [500, 30_000]
/** A watch that ends sooner counts as failed, or an API server that ends each at once would be asked without a pause. */
const shortestWatchMs = 1_000
const goneCode = 410

export type WatchedListParts<T> = {
  kube: Kube
  watched: Watched
  /** @returns undefined for what is no such object */
  read: (object: unknown) => T | undefined
  keyOf: (item: T) => string
  /** Called after each change with its item, and after each list. */
  changed: (item?: T) => void
  /** Called for each end of a watch, and for each list that failed. */
  restarted: (why: 'ended' | 'gone' | 'failed') => void
  log: EventLog
  /** For tests. */
  pausesMs?: readonly [first: number, longest: number]
}

/** The API server does not know the version any more. */
class Gone extends Error {}

export class WatchedList<T> {
  readonly #parts: WatchedListParts<T>
  readonly #items = new Map<string, T>()
  #version: string | undefined
  #isListed = false
  #mustBeNewest = false

  constructor(parts: WatchedListParts<T>) {
    this.#parts = parts
  }

  get items(): ReadonlyMap<string, T> {
    return this.#items
  }

  get isListed(): boolean {
    return this.#isListed
  }

  /** Resolves when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      const began = performance.now()
      try {
        await this.#turn(signal)
        failures = performance.now() - began < shortestWatchMs ? failures + 1 : 0
        this.#parts.restarted('ended')
      } catch (error) {
        if (signal.aborted) return
        failures = performance.now() - began < longestPauseMs ? failures + 1 : 1
        this.#failed(error, failures)
      }
      const pauseMs = this.#pauseMs(failures)
      await delay(pauseMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #failed(error: unknown, failures: number): void {
    const { watched, restarted, log } = this.#parts
    const isGone = error instanceof Gone || statusCodeOf(error) === goneCode
    if (isGone) {
      this.#version = undefined
      this.#mustBeNewest = true
    }
    restarted(isGone ? 'gone' : 'failed')
    log.warn(
      {
        event: 'agent.watch_failed',
        kind: watched.kind,
        failures,
        gone: isGone,
        error: describeError(error),
      },
      'a watch ended; it is begun again',
    )
  }

  /** Half of it by chance: the agents of a cluster lose their API server at the same moment. */
  #pauseMs(failures: number): number {
    const [first, longest] = this.#parts.pausesMs ?? [firstPauseMs, longestPauseMs]
    const pauseMs = Math.min(first * 2 ** Math.max(0, failures - 1), longest)
    return pauseMs / 2 + Math.random() * (pauseMs / 2)
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { kube, watched } = this.#parts
    this.#version ??= await this.#list()
    const broken = new AbortController()
    let failure: Error | undefined
    const heard = (event: WatchEvent) => {
      failure ??= this.#heard(event)
      if (failure !== undefined) broken.abort()
    }
    try {
      await kube.watch(watched, this.#version, heard, AbortSignal.any([signal, broken.signal]))
    } catch (error) {
      throw failure ?? error
    }
    if (failure !== undefined) throw failure
  }

  async #list(): Promise<string> {
    const { kube, watched, read, keyOf, changed, log } = this.#parts
    // As client-go's reflector: from memory at first, but never back behind what was known.
    const { items, resourceVersion } = await kube.list(watched, this.#mustBeNewest ? '' : '0')
    this.#items.clear()
    for (const object of items) {
      const item = read(object)
      if (item !== undefined) this.#items.set(keyOf(item), item)
    }
    this.#isListed = this.#mustBeNewest = true
    log.info({ event: 'agent.listed', kind: watched.kind, count: this.#items.size }, 'listed what is watched')
    changed()
    return resourceVersion
  }

  /** @returns why the watch is over */
  #heard({ type, object }: WatchEvent): Error | undefined {
    const { read, keyOf, changed } = this.#parts
    if (type === 'ERROR') {
      const message = isRecord(object) ? String(object.message) : 'an error without a reason'
      return statusCodeOf(object) === goneCode ? new Gone(message) : new Error(message)
    }
    this.#version = versionOf(object) ?? this.#version
    const item = type === 'BOOKMARK' ? undefined : read(object)
    if (item === undefined) return undefined
    if (type === 'DELETED') this.#items.delete(keyOf(item))
    else this.#items.set(keyOf(item), item)
    changed(item)
    return undefined
  }
}

function versionOf(object: unknown): string | undefined {
  const metadata = isRecord(object) ? object.metadata : undefined
  const version = isRecord(metadata) ? metadata.resourceVersion : undefined
  return typeof version === 'string' ? version : undefined
}
