/** Why a request is denied by the guard: a closed set, counted by name. */
export const guardReasons = {
  'into-reprieve': "exec or attach into one of Reprieve's containers, which is as good as root on the node",
  'debug-into-reprieve':
    "an ephemeral container that could reach Reprieve's containers, volumes or processes",
  altered:
    "a change of the image of one of Reprieve's containers, or of the label that says that it is there",
  pretended: 'containers, volumes or a label as Reprieve would have added them, which it has not',
  'review-unreadable': 'the review is not of a known form; what cannot be judged is denied',
} as const

export type GuardReason = keyof typeof guardReasons

/** `warnings`: what whoever asked should know of it. */
export type Verdict =
  { allowed: true; warnings?: readonly string[] } | { allowed: false; reason: GuardReason; message: string }

export const allowed: Verdict = { allowed: true }

export function denied(reason: GuardReason, message: string): Verdict {
  return { allowed: false, reason, message }
}
