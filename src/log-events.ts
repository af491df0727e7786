/**
 * Every event that a log line can report: its code, and the meaning that the docs print. The code is stable; the sentence of the line may be
 * reworded. A line carries its code as `event`, and the type `EventLog` refuses a code that is not in this table.
 */
export const logEvents = {
  'webhook.listening': 'The webhook accepts connections on the ports that the line names.',
  'webhook.stopping': 'The webhook received a signal, answers what is under way and then stops.',
  'webhook.stopped': 'The webhook closed its last connection.',
  'webhook.failed': 'The webhook cannot run and exits with 1; `error` names the reason.',
  'webhook.overloaded':
    'The webhook refused requests with 503; `requests` counts them since the last such line.',
  'review.answered': 'The webhook decided about a pod; `outcome` and `reasons` say what and why.',
  'review.failed_open':
    'The webhook admitted a pod unprotected because of an internal error or a passed deadline.',
  'review.unreadable': 'A request to the webhook is not an AdmissionReview that this version reads.',
  'request.refused': 'The webhook answered a request with an HTTP error.',
  'guard.judged': 'The guard allowed or denied a request that touches a container of Reprieve.',
  'guard.failed': 'The guard could not judge a request because of an internal error and denied it.',
  'image.looked_up': 'The webhook asked a registry for the entrypoint of an image.',
  'api_server.unreachable':
    'The webhook has no access to the API server: it reads neither pull secrets nor `caBundle`.',
  'trust.established': 'The API servers trust the certificate that the webhook serves.',
  'trust.missing':
    'The API servers do not trust the certificate that the webhook serves; the replica is not ready.',
  'trust.unread':
    'The webhook could not read the `caBundle` of its configurations; the last known state holds.',
  'trust.unverified': 'The webhook could not verify the certificate that it serves.',
  'certificate.reloaded': 'The webhook serves a new certificate.',
  'certificate.reload_deferred':
    'The webhook keeps the old certificate; `error` names why the new one does not fit yet.',
  'certificate.keeping': 'The certs process began to watch the certificates.',
  'certificate.rotated': 'The certs process wrote or published certificates; `changed` lists what.',
  'certificate.current': 'The certs process found nothing to change.',
  'certificate.keep_failed': 'The certs process could not write or publish certificates and tries again.',
  'certs.stopped': 'The certs process stopped.',
  'certs.failed': 'The certs process cannot run and exits with 1; `error` names the reason.',
} as const

export type LogEvent = keyof typeof logEvents
