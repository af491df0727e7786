/** One request for a checkpoint of one container. */
export type CheckpointRequest = {
  trigger: string
  reason: string
  /** What becomes of the application when the checkpoint is complete. */
  afterwards: 'resume' | 'end'
  /** Milliseconds since the epoch by which it has to be complete. */
  deadline: number
  /** Called when CRIU holds every task: whoever made them stand still before lets go now, or CRIU waits for it. */
  held?: () => Promise<void>
  /** Called just before CRIU lets go of an application that goes on; where CRIU died, when that is known. */
  goingOn?: () => void
}
