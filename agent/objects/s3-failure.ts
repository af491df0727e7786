/** Explains an error of the SDK in the words that the other stores use. */
import { describeError, ReprieveError, type ErrorCode } from '../../src/errors.ts'

type Call = {
  /** Of the store. */
  name: string
  action: string
  signal: AbortSignal
}

/** A ReprieveError stays as it is. */
export function s3Failure({ name, action, signal }: Call, error: unknown): ReprieveError {
  if (error instanceof ReprieveError) return error
  const data = { store: name }
  if (signal.aborted)
    return new ReprieveError('deadline-passed', `store "${name}" was given up before it could ${action}`, data, signal.reason) // prettier-ignore
  const { status, kind } = factsOf(error)
  const said = status === undefined ? kind : `HTTP ${status} ${kind}`
  return new ReprieveError(codeOf(status, kind), `store "${name}" failed to ${action}: ${said}`, data, error)
}

function codeOf(status: number | undefined, kind: string): ErrorCode {
  // The bucket, not what is in it.
  if (kind === 'NoSuchBucket') return 'store-failed'
  if (status === 401 || status === 403 || /Credentials|TokenException/.test(kind)) return 'store-denied'
  if (status === undefined || status === 429 || status >= 500) return 'store-unavailable'
  return 'store-failed'
}

function factsOf(error: unknown): { status?: number; kind: string } {
  if (!(error instanceof Error)) return { kind: describeError(error) }
  const metadata =
    '$metadata' in error ? (error.$metadata as { httpStatusCode?: number } | undefined) : undefined
  const status = metadata?.httpStatusCode
  // A connection that failed has no name of the store's, but the kernel's code.
  const kind = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return status === undefined ? { kind } : { status, kind }
}
