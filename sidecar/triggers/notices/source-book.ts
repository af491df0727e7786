/** What became of each source of notices: for /status and /metrics. */
import type { Notice } from './notice.ts'

export type SourceState = {
  source: string
  /** Whether it answered when it was last asked. */
  reachable: boolean
  /** When it was last asked to the end, whatever came of it. */
  lastPollAt: string | undefined
  lastAnswerAt: string | undefined
  answers: number
  failures: number
  lastFailure: string | undefined
  noticesSeen: number
  /** Of the last death that it announced: from the notice to its deadline, and how much of that its checkpoint took. */
  lead: { askedMs: number | undefined; usedMs: number } | undefined
}

export class SourceBook {
  readonly #sources = new Map<string, SourceState>()

  answered(source: string, now: number): void {
    const state = this.#of(source)
    state.reachable = true
    state.lastPollAt = state.lastAnswerAt = new Date(now).toISOString()
    state.answers++
  }

  failed(source: string, why: string, now: number): void {
    const state = this.#of(source)
    state.reachable = false
    state.lastPollAt = new Date(now).toISOString()
    state.failures++
    state.lastFailure = why
  }

  /** It is not asked any more. */
  off(source: string): void {
    this.#of(source).reachable = false
  }

  /** It is not there, and need not be. */
  forget(source: string): void {
    this.#sources.delete(source)
  }

  seen(notices: readonly Notice[]): void {
    for (const { source } of notices) this.#of(source).noticesSeen++
  }

  /** @param usedMs from the notice to the end of the checkpoint */
  led(source: string, askedMs: number | undefined, usedMs: number): void {
    this.#of(source).lead = { askedMs, usedMs }
  }

  get states(): SourceState[] {
    return [...this.#sources.values()]
  }

  #of(source: string): SourceState {
    const known = this.#sources.get(source)
    if (known !== undefined) return known
    const counts = { answers: 0, failures: 0, noticesSeen: 0 }
    const state = {
      source,
      reachable: false,
      lastPollAt: undefined,
      lastAnswerAt: undefined,
      lastFailure: undefined,
      lead: undefined,
      ...counts,
    }
    this.#sources.set(source, state)
    return state
  }
}
