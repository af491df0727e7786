/** What the three clouds have in common: how one is recognized, and what is asked of it again and again. */
import { ReprieveError } from '../../../src/errors.ts'
import type { Notice } from '../notices/notice.ts'
import { retryAfterMs, type HttpAnswer } from './http-answer.ts'
import { requestMetadata, type Endpoint, type KeptConnection } from './metadata-request.ts'

export const cloudNames = ['aws', 'gcp', 'azure'] as const
export type CloudName = (typeof cloudNames)[number]

/** One thing that is asked again and again; each has a pace of its own. */
export type Watch = {
  /** The source of its notices, e.g. `aws/instance-action`. */
  source: string
  /** From an answer to the next question. */
  everyMs: number
  /** After failures it is asked ever more seldom, down to this: a sixth of the shortest notice that it gives, so that most of that is left. */
  slowestMs: number
  /** All that stands now. @throws ReprieveError `metadata-failed` */
  read(signal: AbortSignal): Promise<Notice[]>
}

export interface Cloud {
  readonly name: CloudName
  /** Whether it is this cloud that answers there. @throws ReprieveError `metadata-failed`; `hidden`: it is, but its notices cannot be had */
  probe(signal: AbortSignal): Promise<boolean>
  /** By how much its clock is ahead of the machine's, as far as that is known and matters. */
  readonly clockAheadMs?: number
  /** Fresh ones: what they remember (tokens, etags) is of one stretch of answers. */
  watches(): Watch[]
}

/** The same for all three, and not a pod's: `169.254.0.0/16` never leaves the machine (RFC 3927). */
export const linkLocal: Endpoint = { host: '169.254.169.254', port: 80 }

/** As long as the SDKs and the node termination handler wait; the service is on the machine itself. */
// @deadline A metadata service hangs | The request is given up; nothing waits for it
export const requestDeadlineMs = 2_000

/** Whether that is the answer that was asked for; anything else but `none` is a failure: redirects, refusals, faults. */
export function requireStatus(answer: HttpAnswer, what: string, none: readonly number[] = []): boolean {
  if (answer.status === 200) return true
  if (none.includes(answer.status)) return false
  throw statusFailure(answer, what)
}

export function statusFailure({ status, headers }: HttpAnswer, what: string): ReprieveError {
  const data = { failure: 'status', status, retryAfterMs: retryAfterMs(headers, Date.now()) }
  return new ReprieveError('metadata-failed', `${what}: status ${status}`, data)
}

type Read = Watch['read']

/** What one answer leaves out stands until the next one leaves it out as well: one odd answer withdraws nothing. */
export function untilMissedTwice(read: Read): Read {
  let said: Notice[] = []
  return async (signal) => {
    const now = await read(signal)
    const missed = said.filter(({ id }) => !now.some((notice) => notice.id === id))
    said = now
    return missed.length === 0 ? now : [...now, ...missed]
  }
}

/** @throws ReprieveError `metadata-failed`: a service that answers so cannot be understood */
export function garbage(what: string, cause?: unknown): ReprieveError {
  return new ReprieveError('metadata-failed', `${what} cannot be understood`, { failure: 'garbage' }, cause)
}

export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw garbage(what, error)
  }
}

/** Text of a cloud's for a log or a status: short, and without what would break a line. */
export function shown(text: unknown): string {
  // oxlint-disable-next-line no-control-regex
  return String(text).slice(0, 200).replaceAll(/[\u0000-\u001f\u007f]/g, ' ').toWellFormed() // prettier-ignore
}

export type Instant = number | undefined

/** Milliseconds since the epoch of a date as a cloud writes it; undefined if it is none, or of no sensible time. */
export function instantOf(text: unknown): Instant {
  if (typeof text !== 'string' || text.length > 64) return undefined
  const at = Date.parse(text)
  return at >= Date.UTC(2020) && at < Date.UTC(2200) ? at : undefined
}

export async function get(
  endpoint: Endpoint,
  path: string,
  headers: Readonly<Record<string, string>>,
  how: { signal: AbortSignal; deadlineMs?: number; kept?: KeptConnection },
): Promise<HttpAnswer> {
  const { signal, deadlineMs = requestDeadlineMs, kept } = how
  return requestMetadata(endpoint, { method: 'GET', path, headers, deadlineMs, signal }, kept)
}
