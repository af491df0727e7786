/**
 * The checkpoints that were asked of one container and are not answered yet. What is done for a container is done in turn: behind
 * something that hangs, the answer must come all the same.
 */
import type { CheckpointRequest } from '../checkpoint/request.ts'

export type CheckpointOutcome =
  /**
   * `bytes`: of all files of the stored checkpoint; `cpuMs`: what the application had used when it stood still; `memoryBytes`: what it
   * held just before, where that is known.
   */
  | {
      outcome: 'taken'
      id: string
      phases: Record<string, number>
      bytes?: number
      cpuMs?: number
      memoryBytes?: number | undefined
    }
  | { outcome: 'failed'; reason: string; detail: string }

/** Before each further try of a checkpoint that ends the application. */
const retryPausesMs = [200, 1_000, 3_000]
/** How much later than its deadline a checkpoint answers at the latest: it is cut short at its deadline, and cleans up. */
export const answerGraceMs = 5_000

export class AskedCheckpoints {
  readonly #begin: (request: CheckpointRequest) => void
  #asked: { request: CheckpointRequest; done: (outcome: CheckpointOutcome) => void }[] = []

  /** @param begin sees to it that the request is answered */
  constructor(begin: (request: CheckpointRequest) => void) {
    this.#begin = begin
  }

  /**
   * Resolves by the request's deadline with what became of it. What ends the application is tried again, ever more slowly, since
   * there is no later chance: a dump fails, for one, while the CRIU of an earlier life of this sidecar still holds the tree.
   */
  async ask(request: CheckpointRequest): Promise<CheckpointOutcome> {
    const tries = request.afterwards === 'end' ? retryPausesMs.length + 1 : 1
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#askOnce(request)
      const left = request.deadline - Date.now()
      if (outcome.outcome === 'taken' || left < 1_000) return outcome
      if (outcome.reason === 'checkpoint-under-way') attempt--
      else if (outcome.reason === 'not-running' || attempt >= tries) return outcome
      // Not past the deadline: what comes after it is the grace that the pod's owner gave.
      const pauseMs = Math.min(retryPausesMs[attempt - 1] ?? 200, left - 500)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  answer(request: CheckpointRequest, outcome: CheckpointOutcome): void {
    const index = this.#asked.findIndex((asked) => asked.request === request)
    if (index >= 0) this.#asked.splice(index, 1)[0]?.done(outcome)
  }

  #askOnce(request: CheckpointRequest): Promise<CheckpointOutcome> {
    return new Promise((done) => {
      const latest = Math.min(request.deadline + answerGraceMs - Date.now(), 2 ** 31 - 1)
      const timer = setTimeout(() => {
        const detail = 'no checkpoint was complete in time'
        this.answer(request, { outcome: 'failed', reason: 'deadline-passed', detail })
      }, latest)
      const answered = (outcome: CheckpointOutcome) => {
        clearTimeout(timer)
        done(outcome)
      }
      this.#asked.push({ request, done: answered })
      this.#begin(request)
    })
  }
}
