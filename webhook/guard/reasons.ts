/** Why a request is denied by the guard: a closed set, counted by name. `remedy` is for the documentation. */
export const guardReasons = {
  'into-reprieve': {
    meaning: "exec or attach into one of Reprieve's containers, which is as good as root on the node",
    remedy:
      "Exec into the application's container instead, or have the role `reprieve-operator` bound. The logs of the sidecar and `kubectl port-forward POD 9464` tell what the sidecar does.",
  },
  'debug-into-reprieve': {
    meaning: "an ephemeral container that could reach Reprieve's containers, volumes or processes",
    remedy:
      'The message lists what is wrong with the ephemeral container. `kubectl debug --profile=baseline` adds no capability.',
  },
  altered: {
    meaning:
      "a change of the image of one of Reprieve's containers, or of the label that says that it is there",
    remedy:
      'Change these images in the configuration of the webhook: new pods get them. Somebody who tries it on a running pod wants the node.',
  },
  pretended: {
    meaning: 'containers, volumes or a label as Reprieve would have added them, which it has not',
    remedy:
      'The message says what differs. Mostly the pod is a copy of a protected pod (`kubectl debug --copy-to`, an exported manifest): create it from the manifest that its owner wrote. If every protected pod is denied, another webhook changes what Reprieve adds, for example rewrites its image: see install.md. During an update of Reprieve, try again.',
  },
  'violates-pod-security': {
    meaning:
      'a pod that violates the Pod Security Standard to which the label `reprieve.dev/pod-security` holds its namespace',
    remedy:
      "The message lists every field that violates it: change these in the pod's template. If the message names Reprieve's containers, it says why they are not taken for Reprieve's: see `pretended`.",
  },
  'review-unreadable': {
    meaning: 'the review is not of a known form; what cannot be judged is denied',
    remedy:
      'The API server sends a form that this version does not know: compare versions, and report `why` of the log line.',
  },
} as const satisfies Record<string, { meaning: string; remedy: string }>

export type GuardReason = keyof typeof guardReasons

/** `warnings`: what whoever asked should know of it. */
export type Verdict =
  { allowed: true; warnings?: readonly string[] } | { allowed: false; reason: GuardReason; message: string }

export const allowed: Verdict = { allowed: true }

export function denied(reason: GuardReason, message: string): Verdict {
  return { allowed: false, reason, message }
}
