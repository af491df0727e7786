/**
 * What a source says will happen: the one form into which cloud notices, files and the rest are brought. A source always says
 * all that stands for it at the moment, so what it no longer says was withdrawn, and what it repeats changes nothing.
 */

/** What will happen, and what becomes of the application's memory and of the machine's disks. */
export const noticeKinds = {
  'machine-terminated': 'the machine and its own disks are deleted',
  'machine-stopped': 'the machine stops; its memory is lost',
  'machine-hibernated': 'the machine sleeps; the cloud promises to keep its memory',
  'machine-rebooted': 'the machine restarts; its memory is lost',
  'machine-redeployed': 'the machine moves, without its memory and its own disks',
  'machine-frozen': 'the machine pauses for seconds and continues by itself',
  'machine-at-risk': 'the machine is more likely than others to be reclaimed',
  'pod-ended': 'something that Kubernetes does not announce ends the pod',
  'pod-deleted': 'the pod ends now; `preStop` asks for the checkpoint',
  'pod-disrupted': 'Kubernetes is about to end the pod, with its grace',
  'node-leaving': 'the node is emptied, and its machine goes then',
  'node-cordoned': 'the node takes no new pods, and may be emptied',
} as const
export type NoticeKind = keyof typeof noticeKinds

/** Only what is certain may end the application before its time (answers.ts). */
export const certainties = ['certain', 'likely', 'possible'] as const
export type Certainty = (typeof certainties)[number]

export type Notice = {
  /** Who says so, e.g. `aws/instance-action`. */
  source: string
  /** Tells this notice from others of its source, now and in later answers. */
  id: string
  kind: NoticeKind
  /** A container of the pod; undefined: all of them. */
  container: string | undefined
  /** Milliseconds since the epoch from which on it may happen; undefined: nobody says. */
  deadline: number | undefined
  certainty: Certainty
  /** In the source's own words, for people. */
  detail: string
}

/** The source of what the node agent tells (triggers/agent/). */
export const agentSource = 'agent'

/** Takes all that a source says at the moment. */
export type Hear = (source: string, notices: Notice[]) => void

/** One end of one container, whoever announces it: it can only die once. */
export type Death = {
  container: string
  /** The earliest that is said and still ahead; where all are over, the last of them; undefined: nobody says. */
  deadline: number | undefined
  /** Never empty. */
  notices: Notice[]
}

export function keyOf({ source, id }: Pick<Notice, 'source' | 'id'>): string {
  return `${source} ${id}`
}

/** For logs and /status. */
export function summaryOf({
  source,
  kind,
  container,
  deadline,
  certainty,
  detail,
}: Notice): Record<string, unknown> {
  return { source, kind, container, deadline: instant(deadline), certainty, detail }
}

function instant(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
