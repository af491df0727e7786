/**
 * The answer to a full memory: the sidecar freezes the application first, and decides then. In the end the application runs on, or has ended
 * because its checkpoint is in the store.
 */
import { availableParallelism } from 'node:os'
import { Deadline } from '../../../src/deadline.ts'
import { answerPressure, nobodyResizes } from './growth.ts'
import {
  checkpoint,
  checkpointDeadlineMs,
  endAtPodsEnd,
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
import { PendingEnd } from './pending-end.ts'
import type { Crossing } from './tripwire.ts'
import { isPressure, mayRearm, unreclaimableBytes } from './usage.ts'

/** @returns undefined if this was not the time for an answer, or if there is room again */
export async function answerCrossing(
  parts: PressureParts,
  crossing: Crossing,
): Promise<Answered | undefined> {
  if (!(await isTime(parts))) return undefined
  const end = parts.ending && new PendingEnd(parts.launcherPid, parts.ending)
  const standstill = new Standstill({ ...parts, beforeThaw: () => void end?.look() })
  parts.stands?.(standstill)
  try {
    await standstill.begin()
    // Freezing may have taken seconds: somebody else may have raised the limit meanwhile, and the sidecar would ask for less.
    const now = await look(parts)
    const isSame = now.limitBytes === crossing.limitBytes
    const hasRoom = isSame
      ? mayRearm(now.usage, now.limitBytes, parts.plan.thresholdPercent)
      : !now.isPressure
    if (hasRoom && end?.look() === undefined) {
      // Thawed first: arming waits for a thread of libuv, which a store that hangs may have.
      await standstill.end()
      await parts.throttle.arm()
      return undefined
    }
    const facts = factsOf(now)
    const tooLong = (why: string) => {
      parts.log.warn(
        { event: 'memory.frozen_too_long', ...facts, why },
        'the application was frozen for too long and was thawed',
      )
      parts.report?.({ ...facts, did: 'nothing', why })
    }
    const answered = await decide(
      { ...parts, standstill, end, limit: () => standstill.limit(tooLong) },
      facts,
    )
    return standstill.why === undefined
      ? answered
      : { ...answered, why: joined(answered.why, standstill.why) }
  } finally {
    // The launcher passes the withheld signal on before the application runs.
    end?.passOn()
    await standstill.end()
  }
}

/**
 * Asks again for more memory for an application without a throttle: a resize that was refused may succeed now. The application is not frozen
 * for the question. No checkpoint is taken here: one is being stored, was taken at the crossing, or is tried by saveLate.
 */
export async function growLate(parts: PressureParts): Promise<Answered | undefined> {
  const { container, plan, log } = parts
  if (!mayGrow(container)) return undefined
  const now = await look(parts)
  const answer = answerPressure(plan, now.limitBytes, withoutGrower(parts))
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
 * Takes the checkpoint that failed at the crossing: without it all work would be lost at the limit. The application runs on meanwhile.
 * @returns undefined if this was not the time
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
  const why = 'no checkpoint was taken when the memory became full'
  log.info(
    { event: 'memory.saved', ...facts, why },
    'the application fills its memory: a checkpoint was taken',
  )
  // An application that was to get more memory still has none.
  return { ...facts, did: 'checkpoint', why, ...(plan.answer === 'checkpoint' ? {} : { exhausted: true }) }
}

/**
 * No answer while CRIU has the application stopped. An application that a checkpoint is about to end is not frozen. If that checkpoint does not
 * begin (the store hangs), the sidecar removes the throttle after the longest standstill.
 */
async function isTime(parts: PressureParts) {
  const { container, throttle, log, standstillMs: ms = standstillMs } = parts
  await container.leaves('being-ended', AbortSignal.timeout(ms))
  if (container.doing !== 'being-ended') return mayGrow(container)
  await throttle.disarm()
  const why = `the checkpoint that is to end it has not begun after ${ms} ms: the throttle was removed`
  const facts = factsOf(await look(parts))
  log.warn(
    { event: 'memory.end_not_begun', ...facts, why },
    'the checkpoint that is to end the application has not begun: the throttle was removed',
  )
  parts.report?.({ ...facts, did: 'nothing', why })
  return false
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

function withoutGrower({ grower }: PressureParts): { grow?: string; reschedule?: string } {
  return grower === undefined ? { grow: nobodyResizes } : {}
}

async function decide(parts: Standing, facts: Facts): Promise<Answered> {
  const { plan, log } = parts
  const { limitBytes } = facts
  const without = withoutGrower(parts)
  for (;;) {
    if (parts.end?.look() !== undefined) return await endAtPodsEnd(parts, facts)
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
      // That may have taken seconds, and a resize that came too late may be in force by now.
      if (why === undefined) {
        const now = await look(parts)
        if (now.limitBytes > limitBytes && !now.isPressure) {
          await parts.throttle.arm()
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
    const ended = await endAtPodsEnd(parts, facts)
    // The checkpoint of a moment ago is in the store all the same.
    return ended.did === 'end' || answered.did !== 'checkpoint' ? ended : { ...answered, why: joined(answered.why, ended.why) } // prettier-ignore
  }
}
