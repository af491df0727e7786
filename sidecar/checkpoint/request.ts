/** One request for a checkpoint of one container, and what came of it. */
import type { Deadline } from '../../src/deadline.ts'

/** What can be said anew when the request's turn has come. */
export type Terms = {
  reason: string
  /** What becomes of the application when the checkpoint is complete. */
  afterwards: 'resume' | 'end'
  /** By when the checkpoint has to be complete. */
  deadline: Deadline
}

export type CheckpointRequest = Terms & {
  /** The source of the request. */
  trigger: string
  /** The request waits while the application does not run. Without it such a request fails with `not-running`. */
  waits?: boolean
  /** A checkpoint that is under way when the request arrives serves as well as a new one. */
  joinsUnderWay?: boolean
  /** Pauses before each further try of a checkpoint that failed. Without them a request that ends the application has three. */
  retryPausesMs?: readonly number[]
  /** Called each time the request's turn has come: its terms by then, or why nothing is to be done for it any more. */
  atTurn?: () => Terms | { passOver: string }
  /** Called when CRIU has stopped every task: whoever throttles or freezes them stops that now, or CRIU waits for it. */
  stopped?: () => Promise<void>
}

/** The reason of a request that had become pointless when its turn came. */
export const passedOver = 'passed-over'

export type CheckpointOutcome =
  /**
   * `bytes`: of all files of the stored checkpoint. `cpuMs`: what the application had used when it was stopped. `memoryBytes`: what it
   * held just before, where that is known. `ended`: the application was ended with it.
   */
  | {
      outcome: 'taken'
      id: string
      phases: Record<string, number>
      ended?: boolean
      /** When the application was stopped for it, by `performance.now()`. */
      stoppedMs?: number
      bytes?: number
      cpuMs?: number
      memoryBytes?: number | undefined
      /** Processes of the container that `kubectl exec` or a postStart hook began: they are not in the checkpoint. */
      leftOut?: readonly string[]
    }
  | { outcome: 'failed'; reason: string; detail: string }
