/** One request for a checkpoint of one container, and its outcome. */
import type { ConnectionCount } from '../criu/kept-connections.ts'
import type { Deadline } from '../../src/deadline.ts'
import type { Outcome } from '../../src/outcome.ts'

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
  /** The container's `preStop` ran, which it cannot in an application that the sidecar has frozen. */
  byHook?: true
  /** A checkpoint that is under way when the request arrives serves as well as a new one. */
  joinsUnderWay?: boolean
  /** Pauses before each further try of a checkpoint that failed. Without them a request that ends the application has three. */
  retryPausesMs?: readonly number[]
  /** Called each time the request's turn has come: its terms by then, or why nothing is to be done for it any more. */
  atTurn?: () => Terms | { passOver: string }
  /** Called when CRIU has stopped every task: whoever throttles or freezes them stops that now, or CRIU waits for it. */
  stopped?: () => Promise<void>
}

/** The trigger of a request of the pod's `preStop` hook. */
export const prestopTrigger = 'prestop'

/** The reason of a request that had become pointless when its turn came. */
export const passedOver = 'passed-over'

export type CheckpointOutcome = Outcome<{
  taken: {
    id: string
    phases: Record<string, number>
    /** The application was ended with it. */
    ended?: boolean
    /** When the application was stopped for it, by `performance.now()`. */
    stoppedMs?: number
    /** The size of all files of the stored checkpoint. */
    bytes?: number
    /** The CPU time of the application when it was stopped. */
    cpuMs?: number
    /** The memory of the application just before, where that is known. */
    memoryBytes?: number | undefined
    /** What becomes of the TCP connections at a restore. */
    connections?: ConnectionCount | undefined
    /** Processes of the container that `kubectl exec` or a postStart hook began: they are not in the checkpoint. */
    leftOut?: readonly string[]
  }
  failed: { reason: string; detail: string }
}>
