/** Why a checkpoint is not restored: one closed table, which says what kind of reason each is, and with it what happens next. */
import { ReprieveError, type ErrorCode } from './errors.ts'

/** What happens next, for the documentation. */
export const reasonKinds = {
  transient:
    'the surroundings stand in the way, and may change: the same is tried again while `restoreBudget` lasts',
  damaged: 'the checkpoint cannot be brought back: the next older one of its generation is tried',
  unfit: 'it is not restored here: the next older one of its generation is tried',
  'other-work': 'it is of other work, and so are all older ones: the application starts from its beginning',
  wish: 'the owner of the pod has said so',
} as const

export type ReasonKind = keyof typeof reasonKinds

/** `meaning` and `remedy` are for the documentation; those of error codes stand with the code (src/errors.ts). */
export const rejectionReasons = {
  'restore-never': {
    kind: 'wish',
    meaning: 'the pod asks for no restore',
    remedy: 'Remove `reprieve.dev/restore: never` to continue from checkpoints.',
  },
  'not-asked-for': {
    kind: 'wish',
    meaning: 'the pod asks for another checkpoint',
    remedy: '`reprieve.dev/restore: latest` takes the newest.',
  },
  'not-found': {
    kind: 'unfit',
    meaning: 'the pod asks for a checkpoint that the store does not have',
    remedy:
      "It was removed (`reprieve.dev/keep`), belongs to another lineage, or lies in another node's hostPath store.",
  },
  finished: {
    kind: 'unfit',
    meaning: 'the application has ended with status 0 since',
    remedy: 'Nothing to do: finished work is not restored, and a new run begins from its beginning.',
  },
  'unfit-architecture': {
    kind: 'unfit',
    meaning: 'the checkpoint is of another CPU architecture',
    remedy: 'Schedule the workload on nodes of one architecture.',
  },
  'unfit-incarnation': {
    kind: 'other-work',
    meaning: 'the checkpoint is of an earlier object of the same name, which was deleted and created again',
    remedy:
      '`reprieve.dev/restore: ID` continues from it all the same. `reprieve.dev/key` names a lineage that outlives its owner.',
  },
  'unfit-fingerprint': {
    kind: 'other-work',
    meaning:
      'the template has changed in a part that a running process has taken in; `detail` names the parts',
    remedy:
      '`reprieve.dev/restore: ID` continues from it in spite of another command, environment or restart mark. Another image, mount or security context starts from the beginning.',
  },
  'left-behind': {
    kind: 'other-work',
    meaning: 'the work has begun from its beginning since this checkpoint: it is of an older generation',
    remedy: '`reprieve.dev/restore: ID` goes back to it.',
  },
  'died-early': {
    kind: 'damaged',
    meaning:
      'the application twice died within a minute of a restore from it, or in it; or it hung, and a probe failed',
    remedy:
      "`detail` has the exit code: look at the application's log, often for a stale address or token in memory. `killed in the restore` most often means that the checkpoint does not fit into the container's memory limit: raise the limit, and remove `record.json` from the slot to try it again.",
  },
} as const satisfies Record<string, { kind: ReasonKind; meaning: string; remedy: string }>

/** The error codes that a restore can end with. */
export const restoreErrors = {
  'store-failed': 'transient',
  'lineage-busy': 'transient',
  'numbers-taken': 'transient',
  'adoption-late': 'transient',
  'deadline-passed': 'transient',
  'checkpoint-corrupt': 'damaged',
  'restore-failed': 'damaged',
  'command-failed': 'damaged',
  'unfit-files': 'unfit',
  'unfit-credentials': 'unfit',
} as const satisfies Partial<Record<ErrorCode, ReasonKind>>

/** Errors of a file server or a machine that is short of something. A store that refuses (a wrong mode, a wrong file) refuses again. */
const passing = new Set(
  'EAGAIN EBUSY EHOSTDOWN EHOSTUNREACH EINTR EIO EMFILE ENETDOWN ENETUNREACH ENFILE ENOMEM ENOTCONN ESTALE ETIMEDOUT'.split(' '), // prettier-ignore
)

export type RejectionReason = keyof typeof rejectionReasons

/** An unknown reason is taken for a damaged checkpoint: the next older one is tried. */
export function kindOfReason(reason: string): ReasonKind {
  if (Object.hasOwn(rejectionReasons, reason)) return rejectionReasons[reason as RejectionReason].kind
  return Object.hasOwn(restoreErrors, reason)
    ? restoreErrors[reason as keyof typeof restoreErrors]
    : 'damaged'
}

/** Whether the same may succeed in a while. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof ReprieveError) || kindOfReason(error.code) !== 'transient') return false
  // An operation that was aborted had no answer in time.
  return error.code !== 'store-failed' || error.data.aborted === true || passing.has(String(error.data.errno))
}

/** The reasons of each kind. */
export function reasonsByKind(): Map<ReasonKind, string[]> {
  const all = [...Object.keys(rejectionReasons), ...Object.keys(restoreErrors)]
  const kinds = Object.keys(reasonKinds) as ReasonKind[]
  return new Map(kinds.map((kind) => [kind, all.filter((reason) => kindOfReason(reason) === kind)]))
}
