import type { Deadline } from '../../src/deadline.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../checkpoint/request.ts'

/** A container that a trigger can ask for a checkpoint. */
export type Checkpointable = {
  readonly plan: { readonly name: string }
  checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome>
  /** Resolves when the application runs, or the signal aborts. */
  runs(signal: AbortSignal): Promise<void>
  /** The kubelet ends the pod; the last checkpoint may take until `deadline`. */
  ending(deadline: Deadline): void
}

/**
 * A source of reasons to take a checkpoint: memory, spot notices, disruption, an interval, a person, the end of the pod. It watches
 * from `start` to `stop` and asks the containers it was given, each time with a deadline.
 */
export interface Trigger {
  readonly name: string
  start(containers: ReadonlyMap<string, Checkpointable>): Promise<void>
  stop(): Promise<void>
}
