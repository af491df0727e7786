/**
 * What is done when one container's memory fills up: it stands still first, and only then is it decided. Whatever comes of it,
 * it goes on in the end, or is ended because its checkpoint is in the store.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Deadline } from '../../../src/deadline.ts'
import { answerPressure } from './growth.ts'
import {
  checkpoint,
  checkpointDeadlineMs,
  endAsTold,
  endForMore,
  grow,
  joined,
  memoryReason,
  recordNeed,
  rescheduleCode,
  type Answered,
  type Facts,
  type PressedContainer,
  type PressureParts,
  type Standing,
} from './remedies.ts'
import { Standstill, standstillMs } from './standstill.ts'
import { ToldToEnd } from './told-to-end.ts'
import type { Crossing } from './tripwire.ts'
import { isPressure, mayRearm, unreclaimableBytes } from './usage.ts'

/** @returns undefined where it was not the time to do anything, or there is room again */
export async function answerCrossing(
  parts: PressureParts,
  crossing: Crossing,
): Promise<Answered | undefined> {
  if (!(await isTime(parts))) return undefined
  const end = parts.ending && new ToldToEnd(parts.launcherPid, parts.ending)
  const standstill = new Standstill({ ...parts, beforeThaw: () => void end?.look() })
  parts.stands?.(standstill)
  try {
    await standstill.begin()
    // That may have taken seconds: somebody else may have given it more meanwhile, and what we ask for would be less.
    const now = await look(parts)
    const isSame = now.limitBytes === crossing.limitBytes
    const hasRoom = isSame
      ? mayRearm(now.usage, now.limitBytes, parts.plan.thresholdPercent)
      : !now.isPressure
    if (hasRoom && end?.look() === undefined) {
      // First: arming waits for a thread of libuv's, which a store that hangs may have.
      await standstill.end()
      await parts.brake.arm()
      return undefined
    }
    const facts = factsOf(now)
    const tooLong = (why: string) => {
      parts.log.warn(
        { event: 'memory.frozen_too_long', ...facts, why },
        'the application stood still for too long and was let go',
      )
      parts.told?.({ ...facts, did: 'nothing', why })
    }
    const answered = await decide(
      { ...parts, standstill, end, limit: () => standstill.limit(tooLong) },
      facts,
    )
    return standstill.why === undefined
      ? answered
      : { ...answered, why: joined(answered.why, standstill.why) }
  } finally {
    // Before it goes on: what is withheld from it is withheld no longer.
    end?.passOn()
    await standstill.end()
  }
}

/**
 * Of what is let go for want of memory: whoever could not give it may be able to now. It is not frozen for the question, and
 * nothing but that is done: a checkpoint is being stored, was taken when it was let go, or is tried by itself (saveLate).
 */
export async function growLate(parts: PressureParts): Promise<Answered | undefined> {
  const { container, plan, log } = parts
  if (!mayGrow(container)) return undefined
  const now = await look(parts)
  const answer = answerPressure(plan, now.limitBytes)
  if (!now.isPressure || answer.do !== 'grow') return undefined
  const facts = factsOf(now)
  const why = await grow({ ...parts, end: undefined, limit: () => undefined }, answer.toBytes)
  if (why !== undefined) {
    log.debug(
      { event: 'memory.still_refused', ...facts, why },
      'the application can still have no more memory',
    )
    return undefined
  }
  log.info(
    { event: 'memory.grown_late', ...facts, toBytes: answer.toBytes },
    'the application was given more memory after all',
  )
  return { ...facts, did: 'grow', toBytes: answer.toBytes }
}

/**
 * Of what was let go without a checkpoint: one may be possible now, and without it all would be lost at the limit. It runs on meanwhile.
 * @returns undefined where it was not the time
 */
export async function saveLate(parts: PressureParts): Promise<Answered | undefined> {
  const { container, plan, log } = parts
  const now = await look(parts)
  if (!now.isPressure || container.doing !== 'runs' || container.isOnTrial) return undefined
  const facts = factsOf(now)
  const outcome = await container.checkpoint({
    trigger: 'memory',
    reason: memoryReason,
    afterwards: 'resume',
    deadline: Deadline.in(checkpointDeadlineMs),
  })
  if (outcome.outcome === 'failed') {
    const why = `no checkpoint: ${outcome.detail}`
    log.error(
      { event: 'memory.unsaved', ...facts, why },
      'the application fills its memory, and no checkpoint was taken',
    )
    return { ...facts, did: 'nothing', why }
  }
  const why = 'it was let go without one before'
  log.info(
    { event: 'memory.saved', ...facts, why },
    'the application fills its memory: a checkpoint was taken',
  )
  // Who was to be given more still has not been.
  return { ...facts, did: 'checkpoint', why, ...(plan.answer === 'checkpoint' ? {} : { exhausted: true }) }
}

/**
 * Not while CRIU holds it, and who has been told to end is not frozen: its end is to come soon. Where it does not (the store hangs), it is
 * not held by the brake for longer than anybody stands still.
 */
async function isTime(parts: PressureParts) {
  const { container, brake, log, standstillMs: ms = standstillMs } = parts
  for (const until = performance.now() + ms; container.doing === 'being-ended'; await delay(10))
    if (performance.now() > until) {
      await brake.letGo()
      const why = `the checkpoint that is to end it has not begun after ${ms} ms: it was let go`
      const facts = factsOf(await look(parts))
      log.warn(
        { event: 'memory.end_not_begun', ...facts, why },
        'the checkpoint that is to end the application has not begun: it was let go',
      )
      parts.told?.({ ...facts, did: 'nothing', why })
      return false
    }
  return mayGrow(container)
}

function mayGrow({ doing }: PressedContainer): boolean {
  return doing === 'runs' || doing === 'to-be-saved' || doing === 'being-saved'
}

type Look = Crossing & { isPressure: boolean }

export async function look({ cgroup, plan }: PressureParts): Promise<Look> {
  const [limitBytes, usage] = [await cgroup.limitBytes(), await cgroup.usage()]
  const pressed =
    Number.isFinite(limitBytes) &&
    isPressure(usage, limitBytes, plan.thresholdPercent, availableParallelism())
  return { limitBytes, usage, isPressure: pressed }
}

function factsOf({ limitBytes, usage }: Look): Facts {
  return { at: new Date().toISOString(), limitBytes, usedBytes: unreclaimableBytes(usage) }
}

async function decide(parts: Standing, facts: Facts): Promise<Answered> {
  const { plan, log } = parts
  const { limitBytes } = facts
  const without: { grow?: string; reschedule?: string } = {}
  for (;;) {
    if (parts.end?.look() !== undefined) return await endAsTold(parts, facts)
    const answer = answerPressure(plan, limitBytes, without)
    if (answer.do === 'grow') {
      const why = await grow(parts, answer.toBytes)
      if (why !== undefined) {
        without.grow = `growing in place failed: ${why}`
        continue
      }
      if (parts.end?.look() !== undefined) continue
      log.info(
        { event: 'memory.grown', ...facts, toBytes: answer.toBytes },
        'the application was given more memory',
      )
      return { ...facts, did: 'grow', toBytes: answer.toBytes }
    }
    parts.limit()
    if (answer.do === 'reschedule') {
      let why = await recordNeed(parts, limitBytes, answer.toBytes)
      // That may have taken seconds, and so may a resize that had not come in time.
      if (why === undefined) {
        const now = await look(parts)
        if (now.limitBytes > limitBytes && !now.isPressure) {
          await parts.brake.arm()
          log.info(
            { event: 'memory.grown_meanwhile', ...facts, toBytes: now.limitBytes },
            'the application was given more memory meanwhile',
          )
          return { ...facts, did: 'grow', toBytes: now.limitBytes }
        }
        why = await endForMore(parts)
      }
      if (why !== undefined) {
        without.reschedule = why
        continue
      }
      log.warn(
        { event: 'memory.rescheduled', ...facts, toBytes: answer.toBytes, code: rescheduleCode },
        'the application was ended with a checkpoint: its replacement is to have more memory',
      )
      return { ...facts, did: 'reschedule', toBytes: answer.toBytes }
    }
    const answered = await checkpoint(parts, facts, answer.because)
    if (parts.end?.look() === undefined) return answered
    const ended = await endAsTold(parts, facts)
    // What was saved a moment ago is there all the same.
    return ended.did === 'end' || answered.did !== 'checkpoint' ? ended : { ...answered, why: joined(answered.why, ended.why) } // prettier-ignore
  }
}
