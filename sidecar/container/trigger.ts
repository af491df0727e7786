import type { Deadline } from '../../src/deadline.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../checkpoint/request.ts'

/** A container that triggers can ask a checkpoint of. */
export type Checkpointable = {
  readonly plan: { readonly name: string }
  checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome>
  /** Resolves when the application runs, or the signal aborts. */
  runs(signal: AbortSignal): Promise<void>
  /** The pod was told to end; its last checkpoint may take until `deadline`. */
  ending(deadline: Deadline): void
}

/**
 * A source of reasons to take a checkpoint: memory, spot notices, disruption, an interval, a person, the pod's end. It
 * watches from `start` to `stop`, and asks through the containers it was given; what it asks has a deadline.
 */
export interface Trigger {
  readonly name: string
  start(containers: ReadonlyMap<string, Checkpointable>): Promise<void>
  stop(): Promise<void>
}
