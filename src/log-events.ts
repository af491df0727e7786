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
  // The triggers of the sidecar.
  'cloud.clock_differs':
    'The clocks of cloud and machine differ by `aheadMs`; the sidecar moves the deadlines.',
  'cloud.failed': 'The sidecar met an internal error and no longer asks the cloud.',
  'cloud.found': 'The metadata service of a cloud answers.',
  'cloud.hidden': 'A metadata server of the node answers in the cloud’s place and tells no notices.',
  'cloud.lost': 'The metadata service stopped answering; the sidecar looks for it again.',
  'cloud.missing': 'No metadata service answers; the sidecar looks again.',
  'cloud.source_failed': 'One source of the metadata service fails; the sidecar asks it less often.',
  'control.broke': 'A connection to the control socket ended with an error.',
  'interval.failed': 'The interval trigger met an internal error and looks again in a minute.',
  'interval.skipped':
    'The application made no progress since the last checkpoint, so the interval trigger asked for none.',
  'node_memory.failed': 'A checkpoint for a node that is about to evict failed; `detail` says why.',
  'node_memory.pressed': 'The node is about to evict, so the sidecar takes checkpoints.',
  'node_memory.relieved': 'The node is no longer about to evict.',
  'node_memory.unread': 'The memory of the node could not be read; the sidecar reads it again.',
  'notice.answered': 'The sidecar carries out the plan for a notice; `answer` and `plan` say what.',
  'notice.changed': 'A source changed what it had announced.',
  'notice.failed': 'The sidecar met an internal error while it answered a notice.',
  'notice.heard': 'A source announced something new.',
  'notice.unreadable': 'A file in the folder of notices is no notice; `why` names what is wrong.',
  'notice.waiting': 'A notice asks for a checkpoint of an application that does not run yet.',
  'notice.withdrawn': 'A source no longer announces it.',
  'notice_folder.unread': 'The folder of notices could not be read; the sidecar reads it again.',
  'notice_folder.unwatched':
    'The kernel gives no watch for the folder of notices; the sidecar reads it from time to time.',
  'prestop.failed': 'The sidecar met an internal error while it took the last checkpoint.',
  'notice.end_overdue':
    'The announced end did not come; the line says what became of the container that was kept open for it.',
} as const

export type LogEvent = keyof typeof logEvents
