/** How much more memory is asked for, and what is done where a container fills what it has. Pure. */
import type { MemoryPlan } from '../../../src/pod-plan.ts'

const factor = 1.5
const leastStepBytes = 64 * 1024 ** 2

/**
 * The kernel keeps a limit in whole pages, rounded down (page_counter_memparse, mm/page_counter.c). Pages of 64 KiB are the largest of the
 * machines that we run on: what is asked for in them is what is then in force.
 */
const grainBytes = 64 * 1024

/** The next limit: half as much again, at least 64 MiB more, at most `maxBytes`; undefined where that is no more than now. */
export function nextLimitBytes(limitBytes: number, maxBytes: number): number | undefined {
  const wanted = Math.max(Math.ceil(limitBytes * factor), limitBytes + leastStepBytes)
  const next = Math.floor(Math.min(wanted, maxBytes) / grainBytes) * grainBytes
  return next >= limitBytes + grainBytes ? next : undefined
}

/** Whether the limit that the kernel shows is the one that was asked for, or more. */
export function isInForce(limitBytes: number, askedBytes: number): boolean {
  return limitBytes > askedBytes - grainBytes
}

export type PressureAnswer =
  /** Ask for the limit; what cannot be had this way is had by the next pod. */
  | { do: 'grow'; toBytes: number }
  /** End with a checkpoint, having recorded what the next pod needs. */
  | { do: 'reschedule'; toBytes: number }
  /** A checkpoint, and on. `because` says why it is not what the pod asked for, where it is not. */
  | { do: 'checkpoint'; because?: string }

/** Why nothing grows where neither a socket nor an agent is there to ask. */
export const nobodyResizes = 'nobody here resizes pods'

/**
 * @param limitBytes the container's limit now
 * @param without what cannot be done, or was tried to no avail, and why
 */
export function answerPressure(
  plan: MemoryPlan,
  limitBytes: number,
  without: { grow?: string; reschedule?: string } = {},
): PressureAnswer {
  if (plan.answer === 'checkpoint') return { do: 'checkpoint' }
  const maxBytes = plan.maxBytes ?? limitBytes
  const toBytes = nextLimitBytes(limitBytes, maxBytes)
  if (toBytes === undefined)
    return { do: 'checkpoint', because: `it has all that it may grow to, ${maxBytes} bytes` }
  if (plan.answer === 'grow' && without.grow === undefined) return { do: 'grow', toBytes }
  const rescheduling = plan.recordsNeeds
    ? (plan.staysBecause ?? without.reschedule)
    : 'nobody here gives a replacement more memory'
  if (rescheduling === undefined) return { do: 'reschedule', toBytes }
  const reasons = plan.answer === 'grow' ? [without.grow, rescheduling] : [rescheduling]
  return { do: 'checkpoint', because: reasons.filter((reason) => reason !== undefined).join('; ') }
}
