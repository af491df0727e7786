/** What became of a pod's try to take a slot. */
import type { Outcome } from '../../src/outcome.ts'

export type LockOutcome = Outcome<{
  taken: object
  /**
   * Another pod seems to have the slot; `isNamed`: it has, and the store names it. `otherWork`: what it does is other work, which differs in
   * this. `unanswered`: the store does not say who has it.
   */
  busy: { holder: string; isNamed: boolean; otherWork?: string[]; unanswered?: true }
  /** Another pod took the slot from this one, whose application may not be saved any more. */
  fenced: { holder: string }
  /** The store takes neither lock nor epoch, because it cannot be written: no other pod is kept out, nor can it write. */
  unfenced: { why: string }
}>
