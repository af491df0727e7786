import { constants } from 'node:os'

/**
 * Every error that Reprieve raises on purpose, by code; `remedy` is for the documentation. The message says what was tried, on what, and what to do;
 * `data` carries the same facts for machines.
 */
export const errorCodes = {
  'config-invalid': {
    meaning: 'a configuration file or value does not fit its schema; all problems are listed',
    remedy:
      'The webhook does not start. Its last log line names every problem of config.yaml: correct the file and apply it again.',
  },
  'plan-invalid': {
    meaning: 'the plan that the webhook gave the sidecar cannot be read',
    remedy:
      'The webhook and the sidecar are of different versions, or something changed `REPRIEVE_PLAN`. Delete the pod, so that its replacement is injected again.',
  },
  'manifest-invalid': {
    meaning: 'a checkpoint manifest or a slot record is not of the form this version reads',
    remedy:
      'The sidecar puts an unreadable record aside and continues with an empty one. After a downgrade this is expected.',
  },
  'checkpoint-corrupt': {
    meaning: 'a byte of a stored checkpoint differs from what its manifest says',
    remedy:
      'Check the disk of the store. Reprieve never restores this checkpoint; you may remove its folder by hand.',
  },
  'store-failed': {
    meaning: 'the store refused or failed an operation',
    remedy:
      'The message names the operation, the store and often the cause: full, over quota, read-only, a disk error, a lost mount, no permission. Repair the store; the next checkpoint tries again by itself.',
  },
  'object-exists': {
    meaning: 'an object has the key already, and the writer had asked not to replace one',
    remedy: 'Nothing is to be done: another writer was first. The message names the key.',
  },
  'object-missing': {
    meaning: 'no object has the key',
    remedy:
      "Somebody removed it: a person, a rule of the bucket's life cycle, or a sweep. Look whether such a rule covers the prefix.",
  },
  'object-damaged': {
    meaning: 'what arrived of an object is not what was sent: its length or its checksum differs',
    remedy:
      'The message says what differs. After several tries it is no accident of the network: check proxies on the way, and the disk of the store.',
  },
  'key-invalid': {
    meaning:
      'a key would leave the folder of the store, is in the way of another key, or has a character that is not allowed',
    remedy: 'This is a fault of Reprieve or a forged name in the store. Report it with the message.',
  },
  'store-full': {
    meaning: 'the store has no room or no quota left',
    remedy: 'Free space, enlarge the store or its quota, or keep fewer checkpoints.',
  },
  'store-denied': {
    meaning: 'the store does not allow the operation, with a new URL neither',
    remedy:
      'The message quotes the store. Compare the policy of the credential, the policy of the bucket, and the clocks. For a directory check its owner, its mode, and whether it is mounted read-only.',
  },
  'store-stale': {
    meaning: 'a network file system no longer knows a file or folder that was opened on it (ESTALE)',
    remedy: 'The folder was removed or exported anew on its server. Mount it anew.',
  },
  'store-unavailable': {
    meaning:
      'the store did not answer, answered too slowly, or asked to be left alone, at every one of several tries',
    remedy:
      'The message names the last answer. Check the address, the network policy, and the load of the store; the next checkpoint tries again.',
  },
  'conditions-ignored': {
    meaning:
      'the store replaces an object although it is told not to, so two writers could not be kept apart',
    remedy:
      'Use a store that honours `If-None-Match: *`; docs/object-stores.md lists some. For a directory: its file system has no hard links.',
  },
  'dump-failed': {
    meaning: 'CRIU could not dump the application; it goes on running',
    remedy:
      "The message quotes CRIU. `bytes free`: raise the pod's ephemeral-storage limit, or free space in the store. `prlimit` or rlimits: the application is not root and the sidecar lacks SYS_RESOURCE. A missing tool: the image is broken; see `missingTools` in `/status`.",
  },
  'archive-failed': {
    meaning: 'the files beside the memory could not be archived; the application goes on running',
    remedy:
      'The message names the cause. Most often staging is full, or the file tree is so large that reading it takes longer than the budget.',
  },
  'restore-failed': {
    meaning: 'CRIU could not restore a checkpoint',
    remedy:
      'The message quotes CRIU. A path that cannot be opened: it lies on a volume that is read-only now. Otherwise the kernel or the CPU may be older than the one of the dump: use nodes of one kind.',
  },
  'numbers-taken': {
    meaning: 'process numbers that a checkpoint needs are taken in this pod',
    remedy:
      'The message names the programs that have them. The sidecar tries again while `restoreBudget` lasts. If it stays so, delete the pod.',
  },
  'adoption-late': {
    meaning: 'the launcher did not take over the restored application in time',
    remedy:
      'The node is overloaded, or the launcher was stopped. The sidecar tries again while `restoreBudget` lasts.',
  },
  'unfit-files': {
    meaning:
      'files on volumes that outlive the pod are not what they were at the checkpoint: it is passed over, and they are left as they are',
    remedy:
      'The message names each file: a database, a mapped file, one that the application writes in place, a log that was rotated away, or a file of another volume. The application starts from its beginning and recovers as after any crash. `reprieve.dev/external-files: ignore` restores over such files, for programs that bear it.',
  },
  'unfit-credentials': {
    meaning:
      "a checkpoint has capabilities, user ids or the like beyond its container's securityContext: it is passed over",
    remedy:
      'If you made the securityContext of the container stricter, the application starts from its beginning, and nothing is to be done. Otherwise somebody may have forged the checkpoint: keep its folder for study, and look who can write to the store.',
  },
  'lineage-busy': {
    meaning: 'another pod of the same lineage is alive: it keeps the slot, this one runs unprotected',
    remedy:
      'The message names the other pod, or says that the store did not answer. For several replicas use a StatefulSet, an indexed Job, or a `reprieve.dev/key` for each. A store that does not answer needs repair.',
  },
  'lineage-fenced': {
    meaning:
      'another pod has taken the lineage from this one: nothing of this one is stored any more, and its application goes on unprotected',
    remedy:
      'Reprieve took the node of this pod for dead, or two pods share the lineage. Delete the pod that is not wanted. A restart of its container takes the lineage again when it is free.',
  },
  'registry-failed': {
    meaning: "an image's registry refused or failed to say what the image runs",
    remedy:
      'The webhook turns this into the reason `entrypoint-unknown` or `registry-unavailable`: see there.',
  },
  'command-failed': {
    meaning: 'an external command failed, was killed, or ran past its deadline',
    remedy:
      "The message quotes the last words of the tool (criu, tar, find, launcher). A SIGKILL without a deadline points to the sidecar's memory limit.",
  },
  'deadline-passed': {
    meaning: 'a wait ended at its deadline',
    remedy:
      'The checkpoint was not complete by its deadline. Compare `dumpMs`, `writeMs` and `syncMs` of earlier checkpoints with `checkpointBudget`. Raise the budget, use a faster store, or give the sidecar more memory.',
  },
  'metadata-failed': {
    meaning: 'the metadata service of a cloud gave no answer that can be used',
    remedy:
      "The pod cannot reach the service (a hop limit of 1, a network policy, no cloud), the service hides the notices (GKE's metadata server), or its answer is not understood. The sidecar stops asking and looks for the service again; `sources` in `/status` names it.",
  },
  'store-truncated': {
    meaning: 'an object of a checkpoint is shorter than it was written',
    remedy: 'Check the disk of the store. The checkpoints that need the object are lost.',
  },
  'store-damaged': {
    meaning: 'bytes of a chunk, an index or a manifest differ from what was written',
    remedy: 'Check the disk of the store. The checkpoints that need these bytes are lost.',
  },
  'store-swapped': {
    meaning: 'an object of a checkpoint lies under the name of another one',
    remedy: 'Somebody moved or copied objects. Look who can write to the store.',
  },
  'store-replayed': {
    meaning: 'a pack has the right name, and is not the one that the checkpoint was written with',
    remedy: 'Somebody put back an older object. Look who can write to the store.',
  },
  'key-foreign': {
    meaning: 'an object is sealed with the key of another lineage or another installation',
    remedy: 'Give this installation the master key that the checkpoint was written with.',
  },
  'store-unsealed': {
    meaning: 'an object is not sealed, though its lineage has a key',
    remedy: 'Somebody may have forged it: look who can write to the store.',
  },
  'store-newer': {
    meaning: 'an object was written by a newer version of Reprieve',
    remedy: 'Restore it with that version.',
  },
} as const

export type ErrorCode = keyof typeof errorCodes

export class ReprieveError extends Error {
  override readonly name = 'ReprieveError'
  readonly code: ErrorCode
  readonly data: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.data = Object.freeze(data)
  }
}

/** One line for a log or a status: the message, then each cause's. */
export function describeError(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error, depth = 0; at !== undefined && depth < 8; depth++) {
    parts.push(at instanceof Error ? at.message : String(at))
    at = at instanceof Error ? at.cause : undefined
  }
  return parts.join(': ')
}

/** `ENOENT` and the like; the codes of other errors (Node's `ERR_…`, Reprieve's own) are not the kernel's. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (typeof code !== 'string') return undefined
  if (/^E[A-Z0-9]+$/.test(code)) return code
  // libuv has no names for ESTALE, EDQUOT and some others: their code is "Unknown system error -116".
  const [, number] = /^Unknown system error -(\d+)$/.exec(code) ?? []
  return Object.entries(constants.errno).find(([, value]) => value === Number(number))?.[0]
}
