/** The outcome of a full memory in words for the pod's owner: the text of an event of the API. Pure. */
import type { Answered } from './remedies.ts'

export type MemoryEvent = {
  type: 'Normal' | 'Warning'
  reason: 'MemoryGrown' | 'MemoryRescheduled' | 'MemoryCheckpointed' | 'MemoryEnded' | 'MemoryRefused'
  message: string
}

/** Of an event's note in the API (events.k8s.io/v1: "should be less than 1kB"). */
const longest = 1000

export function eventOf({ did, limitBytes, usedBytes, toBytes, why, exhausted }: Answered): MemoryEvent {
  const fills = `it uses ${mebibytes(usedBytes)} of its ${mebibytes(limitBytes)}`
  switch (did) {
    case 'grow':
      return event('Normal', 'MemoryGrown', `${fills}, and was given ${mebibytes(toBytes ?? limitBytes)}`)
    case 'reschedule':
      return event('Normal', 'MemoryRescheduled', `${fills}, and was ended with a checkpoint: its replacement is to have ${mebibytes(toBytes ?? limitBytes)}`) // prettier-ignore
    case 'checkpoint':
      return exhausted !== true
        ? event('Normal', 'MemoryCheckpointed', `${fills}: a checkpoint was taken${why === undefined ? '' : `; ${why}`}`) // prettier-ignore
        : event('Warning', 'MemoryRefused', `${fills}, and can have no more: ${why ?? 'it is not known why'}. A checkpoint is kept, it may be killed at its limit`) // prettier-ignore
    case 'end':
      return event('Normal', 'MemoryEnded', `${fills}, and was ended with a checkpoint: ${why ?? 'the pod was told to end'}`) // prettier-ignore
    case 'nothing':
      return event('Warning', 'MemoryRefused', `${fills}, and nothing could be done: ${why ?? 'it is not known why'}. It may be killed at its limit`) // prettier-ignore
  }
}

function event(type: MemoryEvent['type'], reason: MemoryEvent['reason'], message: string): MemoryEvent {
  return { type, reason, message: message.slice(0, longest).toWellFormed() }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`
}
