/** The Events of the API that an agent writes: for each reason, what happened and what to do about it. Pure. */
import { printable } from '../src/agent/protocol.ts'
import type { PodEvent, PodEventReason } from '../src/agent/report.ts'

type EventText = {
  type: 'Normal' | 'Warning'
  /** What Reprieve did, or tried to do. */
  action: string
  says: string
  toDo: string
}

export const eventTexts: Record<PodEventReason, EventText> = {
  CheckpointTaken: {
    type: 'Normal',
    action: 'Checkpoint',
    says: 'a checkpoint is in the store',
    toDo: 'Nothing to do: a replacement goes on from it.',
  },
  CheckpointFailed: {
    type: 'Warning',
    action: 'Checkpoint',
    says: 'no checkpoint was taken, and the application runs on',
    toDo: 'If this repeats, look it up under "A checkpoint is not taken" in docs/operations.md.',
  },
  Restored: {
    type: 'Normal',
    action: 'Restore',
    says: 'the application went on from its checkpoint',
    toDo: 'Nothing to do.',
  },
  StartedFresh: {
    type: 'Warning',
    action: 'Restore',
    says: 'the application began from its beginning',
    toDo: 'See "A checkpoint is passed over" in docs/operations.md. The annotation reprieve.dev/restore goes back to a checkpoint.',
  },
  MemoryGrown: {
    type: 'Normal',
    action: 'Resize',
    says: 'it has more memory',
    toDo: 'Raise the memory limit in the template, so that the next pod has it at once.',
  },
  MemoryRescheduled: {
    type: 'Normal',
    action: 'Reschedule',
    says: 'it was ended with a checkpoint',
    toDo: 'Nothing to do: the replacement is given more memory.',
  },
  MemoryRefused: {
    type: 'Warning',
    action: 'Resize',
    says: 'it can have no more memory',
    toDo: 'Raise the memory limit or reprieve.dev/memory-max, or make room on the node.',
  },
  NotProtected: {
    type: 'Warning',
    action: 'Protect',
    says: 'the application runs without protection',
    toDo: 'Remove the cause and replace the pod; until then its death costs its work.',
  },
  Fenced: {
    type: 'Warning',
    action: 'Protect',
    says: 'another pod took the lineage, and this application runs on without protection',
    toDo: 'Delete this pod if the other one does the work.',
  },
}

/** Of events.k8s.io/v1, in bytes. */
const longestNoteBytes = 1024

/** @param pod named where the Event is of another object */
export function noteOf({ reason, container, detail }: PodEvent, pod?: string): string {
  const { says, toDo } = eventTexts[reason]
  const [before, after] = [
    `${pod === undefined ? 'Container' : `Pod ${pod}, container`} ${container}: ${says}: `,
    `. ${toDo}`,
  ]
  const room = longestNoteBytes - Buffer.byteLength(before) - Buffer.byteLength(after)
  return `${before}${cut(printable(detail).replace(/\.$/, ''), room)}${after}`
}

function cut(text: string, bytes: number): string {
  let [short, size] = ['', 0]
  for (const character of text) {
    size += Buffer.byteLength(character)
    if (size > bytes) break
    short += character
  }
  return short
}

/** For the documents. */
export function eventRows(): { name: string; note: string; text: string }[] {
  return Object.entries(eventTexts).map(([name, { type, says, toDo }]) => ({
    name,
    note: type,
    text: `${says[0]?.toUpperCase()}${says.slice(1)}. ${toDo}`,
  }))
}
