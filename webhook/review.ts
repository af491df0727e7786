/** AdmissionReview v1, as far as Reprieve reads and writes it. */
import type { FastifyReply } from 'fastify'
import { isFlag, isRecord, isText, listOf, optional, recordOf } from './shape.ts'

/** `uid` and `extra` are passed on as they are. */
export type UserInfo = { username?: string | null; groups?: string[] | null; uid?: unknown; extra?: unknown }

export type AdmissionRequest = {
  uid: string
  kind: { group?: string | null; kind: string }
  resource: { group?: string | null; resource: string }
  subResource?: string | null
  namespace?: string | null
  operation: string
  dryRun?: boolean | null
  userInfo?: UserInfo | null
  name?: string | null
  object?: unknown
  oldObject?: unknown
}

export type AdmissionResponse = {
  uid: string
  allowed: boolean
  warnings?: string[]
  patchType?: 'JSONPatch'
  /** Base64 of the JSON text. */
  patch?: string
  status?: { code: number; reason: string; message: string }
  auditAnnotations?: Record<string, string>
}

export type AdmissionReview = {
  apiVersion: 'admission.k8s.io/v1'
  kind: 'AdmissionReview'
  response: AdmissionResponse
}

export type ReadReview =
  | { readable: true; request: AdmissionRequest }
  /** With the uid, if there is one, an answer can still be given. */
  | { readable: false; uid?: string; why: string }

const isRequest = recordOf({
  uid: isText,
  kind: recordOf({ group: optional(isText), kind: isText }),
  resource: recordOf({ group: optional(isText), resource: isText }),
  subResource: optional(isText),
  namespace: optional(isText),
  operation: isText,
  dryRun: optional(isFlag),
  userInfo: optional(recordOf({ username: optional(isText), groups: optional(listOf(isText)) })),
  name: optional(isText),
})

export function readReview(body: unknown): ReadReview {
  if (!isRecord(body) || body.kind !== 'AdmissionReview' || body.apiVersion !== 'admission.k8s.io/v1')
    return { readable: false, why: 'the body is not an AdmissionReview of admission.k8s.io/v1' }
  const request = body.request
  if (!isRecord(request) || typeof request.uid !== 'string' || request.uid === '')
    return { readable: false, why: 'the AdmissionReview has no request with a uid' }
  return isRequest(request)
    ? { readable: true, request: request as AdmissionRequest }
    : { readable: false, uid: request.uid, why: 'the request of the AdmissionReview is not of a known form' }
}

/** Past fastify, which sends a text as UTF-8 only: Node makes room for three bytes a character then, and clears it. */
export function sendAnswer(reply: FastifyReply, response: AdmissionResponse): FastifyReply {
  const text = answerText(response)
  reply.hijack()
  reply.raw.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': text.length,
  })
  reply.raw.end(text, 'latin1')
  return reply
}

/** The JSON text of the AdmissionReview that answers one, in ASCII. */
export function answerText(response: AdmissionResponse): string {
  const { patch, ...rest } = response
  const text = JSON.stringify(rest).replaceAll(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  // Base64 needs no escapes, and is nearly all of the answer: it is not looked through for them.
  const whole = patch === undefined ? text : `${text.slice(0, -1)},"patch":"${patch}"}`
  return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":${whole}}`
}

/** The API server cuts longer ones (admission.k8s.io/v1, AdmissionResponse.warnings). */
const maxWarningLength = 256

export function allow(uid: string, warnings: readonly string[]): AdmissionResponse {
  if (warnings.length === 0) return { uid, allowed: true }
  return {
    uid,
    allowed: true,
    warnings: warnings.map((text) => `reprieve: ${text}`.slice(0, maxWarningLength)),
  }
}

export function deny(
  uid: string,
  { code, reason }: { code: number; reason: string },
  message: string,
): AdmissionResponse {
  return { uid, allowed: false, status: { code, reason, message } }
}
