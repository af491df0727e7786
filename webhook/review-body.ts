/**
 * The body of a review: parsed, and known again when another comes that is the same but for its uid, as the reviews of one controller's pods are.
 */
import { hash, randomUUID } from 'node:crypto'
import { at } from './json-path.ts'

export type ReviewBody = {
  /** What `JSON.parse` makes of it. */
  parsed: unknown
  /** Of everything but the uid; undefined where a uid cannot be told from the rest, or it is too large to be worth it. */
  key?: string
}

export type KnownBody = { uid: string; key: string }

/** As API servers write it; where ours does not begin so, it is only parsed. */
const beginning =
  /^\{\s*"kind":\s*"AdmissionReview",\s*"apiVersion":\s*"admission\.k8s\.io\/v1",\s*"request":\s*\{\s*"uid":\s*"(?=([0-9a-f-]{36})")/
const longestBeginning = 256
/** Larger ones are rare, and what is remembered of them would be large. */
const mostBytes = 64 * 1024
/** Stands for the uid. Nobody knows it: found where the uid is, it shows that the place is the one that counts, and no other. */
const placeholder = randomUUID()

/**
 * @param body is written to
 * @param known says that nothing needs to be parsed
 * @throws SyntaxError
 */
export function readReviewBody<T>(
  body: Buffer,
  known: (one: KnownBody) => T | undefined,
): { body: ReviewBody } | { known: T } {
  const start =
    body.length > mostBytes ? undefined : beginning.exec(body.toString('latin1', 0, longestBeginning))
  const uid = start?.[1]
  if (start === undefined || start === null || uid === undefined) return { body: { parsed: parse(body) } }
  const from = start[0].length
  body.write(placeholder, from, 'latin1')
  const key = hash('sha256', body, 'base64url')
  const found = known({ uid, key })
  if (found !== undefined) return { known: found }
  const parsed = parse(body)
  const request = at(parsed, 'request')
  // A later uid is the one that counts.
  if (at(request, 'uid') !== placeholder) {
    body.write(uid, from, 'latin1')
    return { body: { parsed: parse(body) } }
  }
  ;(request as { uid: string }).uid = uid
  return { body: { parsed, key } }
}

function parse(body: Buffer): unknown {
  return JSON.parse(body.toString('utf8')) as unknown
}
