/**
 * Answers to reviews that come again and again but for their uid: a controller makes many pods of one template at once, which is when there is the least
 * time for each. Only what depends on nothing but the review and the configuration is remembered (`TimedAdmit`), so none of it grows old.
 */
import type { Decision } from './decide.ts'
import { answerText, type AdmissionResponse } from './review.ts'

/** What is told of a review beside its uid. */
export type About = { namespace: string | null | undefined; pod: string | undefined; dryRun: boolean }

export type Remembered = {
  decision: Decision
  about: About
  /** The answer to the same review with another uid. */
  answerTo: (uid: string) => Buffer
}

/** Most reviews never come again: what is kept of those is this many keys. */
const mostSighted = 1000
const mostAnswers = 200
const mostBytes = 4 * 1024 * 1024

export class RememberedAnswers {
  readonly #answers = new Map<string, { value: Remembered; bytes: number }>()
  readonly #sighted = new Set<string>()
  #bytes = 0

  find(key: string): Remembered | undefined {
    const found = this.#answers.get(key)
    if (found === undefined) return undefined
    // A map lists its keys as they were set: used last is last.
    this.#answers.delete(key)
    this.#answers.set(key, found)
    return found.value
  }

  /** Kept from the second time on. */
  offer(key: string, about: About, response: AdmissionResponse, decision: Decision): void {
    if (!this.#sighted.delete(key)) {
      this.#sighted.add(key)
      if (this.#sighted.size > mostSighted) this.#sighted.delete(first(this.#sighted))
      return
    }
    const answer = answerTemplate(response)
    if (answer === undefined) return
    // All that a decision says is in its answer, too: it holds about as much again.
    const bytes = 2 * answer.bytes
    const value = { decision, about, answerTo: answer.to } satisfies Remembered
    this.#answers.set(key, { value, bytes })
    this.#bytes += bytes
    while (this.#answers.size > mostAnswers || this.#bytes > mostBytes) this.#forget(first(this.#answers))
  }

  get size(): number {
    return this.#answers.size
  }

  #forget(key: string): void {
    this.#bytes -= this.#answers.get(key)?.bytes ?? 0
    this.#answers.delete(key)
  }
}

/** @returns undefined where the uid is told more than once */
function answerTemplate(
  response: AdmissionResponse,
): { bytes: number; to: (uid: string) => Buffer } | undefined {
  // None of its characters needs an escape (webhook/review-body.ts).
  const [head, tail, ...more] = answerText(response).split(response.uid)
  if (head === undefined || tail === undefined || more.length > 0) return undefined
  const whole = Buffer.from(tail)
  const to = (uid: string): Buffer => {
    const answer = Buffer.allocUnsafe(head.length + uid.length + whole.length)
    answer.write(head, 0, 'latin1')
    answer.write(uid, head.length, 'latin1')
    whole.copy(answer, head.length + uid.length)
    return answer
  }
  return { bytes: head.length + whole.length, to }
}

function first(keys: Map<string, unknown> | Set<string>): string {
  for (const key of keys.keys()) return key
  return ''
}
