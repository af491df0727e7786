/** What a sidecar reports to the node agent of its pod: what happened there, and from which checkpoints a replacement would go on. */
import { isRecord } from '../shape.ts'
import { instantOfCheckpointId } from '../checkpoint-id.ts'
import { isCount, isText } from './protocol.ts'

export const podEventReasons = [
  'CheckpointTaken',
  'CheckpointFailed',
  'Restored',
  'StartedFresh',
  'MemoryGrown',
  'MemoryRescheduled',
  'MemoryRefused',
  'NotProtected',
  'Fenced',
] as const
export type PodEventReason = (typeof podEventReasons)[number]

/** After these a replacement would not go on from what the pod has saved before. */
export const voiding: ReadonlySet<PodEventReason> = new Set(['StartedFresh', 'NotProtected', 'Fenced'])

export type PodEvent = {
  reason: PodEventReason
  container: string
  /** Of one reason and container: the same again is counted, another one is told by itself. */
  code: string
  /** For people. */
  detail: string
}

/** What a replacement of the container would go on from now. */
export type StandingCheckpoint = { container: string; id: string; atMs: number }

export type Report = { events: PodEvent[]; checkpoints: StandingCheckpoint[] }

/** In one report; and of one pod, until the agent has heard them. */
export const mostPodEvents = 32
const mostCheckpoints = 64

/** Leaves out events of a reason that this program does not know. @returns undefined for what is no report */
export function parseReport(body: Record<string, unknown>): Report | undefined {
  const { events, checkpoints } = body
  if (!Array.isArray(events) || events.length > mostPodEvents) return undefined
  if (!Array.isArray(checkpoints) || checkpoints.length > mostCheckpoints) return undefined
  if (!events.every(isPodEvent) || !checkpoints.every(isCheckpoint)) return undefined
  return {
    events: events.filter(({ reason }) => podEventReasons.includes(reason)),
    checkpoints: checkpoints.map(({ container, id, atMs }) => ({ container, id, atMs })),
  }
}

function isPodEvent(one: unknown): one is PodEvent {
  return isRecord(one) && [one.reason, one.container, one.code, one.detail].every(isText)
}

/** The first instant of the year 10000, which neither the API nor a text of four digits can say. */
const endOfTimeMs = 253_402_300_800_000

function isCheckpoint(one: unknown): one is StandingCheckpoint {
  if (!isRecord(one) || !isText(one.container) || !isCount(one.atMs)) return false
  if (one.atMs >= endOfTimeMs) return false
  return typeof one.id === 'string' && instantOfCheckpointId(one.id) !== undefined
}
