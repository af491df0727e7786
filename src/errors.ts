/**
 * Every error that Reprieve raises on purpose, by code. The message says what was tried, on what, and what to do;
 * `data` carries the same facts for machines.
 */
export const errorCodes = {
  'config-invalid': 'a configuration file or value does not fit its schema; all problems are listed',
  'plan-invalid': 'the plan that the webhook gave the sidecar cannot be read',
  'manifest-invalid': 'a checkpoint manifest is not of the form this version reads',
  'checkpoint-corrupt': 'a byte of a stored checkpoint differs from what its manifest says',
  'store-failed': 'the store refused or failed an operation',
  'dump-failed': 'CRIU could not dump the application; it goes on running',
  'archive-failed': 'the files beside the memory could not be archived; the application goes on running',
  'restore-failed': 'CRIU could not restore a checkpoint',
  'lineage-busy': 'another pod of the same lineage is alive: it keeps the slot, this one runs unprotected',
  'registry-failed': "an image's registry refused or failed to say what the image runs",
  'command-failed': 'an external command failed, was killed, or ran past its deadline',
  'deadline-passed': 'a wait ended at its deadline',
  'metadata-failed': 'the metadata service of a cloud gave no answer that can be used',
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
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}
