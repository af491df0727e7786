/** What an answer of an S3 server means, by its status and the code in its XML. Nothing here waits or asks. */
import { retryAfterMs } from './back-off.ts'
import type { HttpAnswer } from './http-exchange.ts'

export type Verdict =
  | { kind: 'done' }
  | { kind: 'missing' }
  /** There is an object already. */
  | { kind: 'exists' }
  /** Another writer is at it just now. */
  | { kind: 'conflict'; said: string }
  | { kind: 'beyond-end' }
  /** Perhaps only this URL is refused: it has expired, or its credential has. */
  | { kind: 'denied'; said: string }
  | { kind: 'full'; said: string }
  /** It may pass. */
  | { kind: 'again'; said: string; retryAfterMs?: number | undefined; damaged?: boolean }
  | { kind: 'failed'; said: string }

const full = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'InsufficientStorage', 'EntityTooLarge']) // prettier-ignore
const expired = new Set(['ExpiredToken', 'RequestExpired', 'TokenRefreshRequired', 'InvalidToken'])
const damaged = new Set(['BadDigest', 'IncompleteBody', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch']) // prettier-ignore

/** @param nowMs of this machine, by which a difference of clocks is told */
export function verdictOf(answer: HttpAnswer, nowMs: number): Verdict {
  const { status } = answer
  const code = codeIn(answer)
  const said = `HTTP ${status}${code === '' ? '' : ` ${code}`}`
  if (status >= 200 && status < 300) return { kind: 'done' }
  if (full.has(code) || status === 507) return { kind: 'full', said }
  if (damaged.has(code)) return { kind: 'again', said, damaged: true }
  if (code === 'RequestTimeTooSkewed') return { kind: 'denied', said: `${said}${skewOf(answer, nowMs)}` }
  if (expired.has(code) || status === 401 || status === 403)
    return { kind: 'denied', said: `${said}${skewOf(answer, nowMs)}` }
  if (status === 404) return code === 'NoSuchBucket' ? { kind: 'failed', said: `${said}: there is no such bucket` } : { kind: 'missing' } // prettier-ignore
  if (status === 409) return { kind: 'conflict', said }
  if (status === 412) return { kind: 'exists' }
  if (status === 416) return { kind: 'beyond-end' }
  if (status >= 300 && status < 400) return { kind: 'failed', said: `${said}: ${redirectOf(answer)}` }
  if (code === 'RequestTimeout' || [408, 425, 429].includes(status) || (status >= 500 && status !== 501))
    return { kind: 'again', said, retryAfterMs: retryAfterMs(answer.headers['retry-after'], nowMs) }
  return { kind: 'failed', said }
}

/** `<Error><Code>SlowDown</Code>…`; nothing else of the answer is repeated to people: it may quote the signed URL. */
function codeIn({ body }: HttpAnswer): string {
  return /<Code>([A-Za-z0-9]{1,60})<\/Code>/.exec(body.subarray(0, 4_096).toString('latin1'))?.[1] ?? ''
}

/** URLs are signed with a time. More than a quarter of an hour apart, every one is refused. */
function skewOf({ headers }: HttpAnswer, nowMs: number): string {
  const apartMs = Date.parse(headers.date ?? '') - nowMs
  if (!(Math.abs(apartMs) > 60_000)) return ''
  return `; the store's clock is ${Math.round(Math.abs(apartMs) / 1_000)} s ${apartMs > 0 ? 'ahead of' : 'behind'} this one's`
}

function redirectOf({ headers }: HttpAnswer): string {
  const region = headers['x-amz-bucket-region']
  const host = hostIn(headers.location)
  const where = region !== undefined && /^[\w-]{1,40}$/.test(region) ? `the bucket is in region ${region}` : `it leads to ${host}` // prettier-ignore
  return `${where}, and redirects are not followed: correct the endpoint and the region`
}

/** Without the query, which has the signature. */
function hostIn(location: string | undefined): string {
  return URL.canParse(location ?? '') ? new URL(location ?? '').host : 'another place'
}
