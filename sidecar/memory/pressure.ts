/**
 * What is done when one container's memory fills up: it stands still first, and only then is it decided. Whatever comes of it,
 * it goes on in the end, or is ended because its checkpoint is in the store.
 */
import { describeError } from '../../src/errors.ts'
import type { MemoryPlan } from '../../src/pod-plan.ts'
import type { CheckpointRequest } from '../checkpoint.ts'
import type { CheckpointOutcome } from '../asked-checkpoints.ts'
import { answerPressure, isInForce, type PressureAnswer } from './growth.ts'
import type { ResourceGrower } from './resource-grower.ts'
import { Standstill, type StandstillParts } from './standstill.ts'
import type { Crossing } from './tripwire.ts'
import { unreclaimableBytes } from './usage.ts'

/** A resize that the kubelet accepts is in force within a second (0.25 s on Kubernetes 1.36); one that it defers may never be. */
const growDeadlineMs = 10_000
/** As long as a checkpoint asked for by hand may take: nobody else's deadline is near. */
const checkpointDeadlineMs = 600_000
/** sysexits(3), EX_TEMPFAIL: "the user is invited to retry". Not 0, or a Job would take it for done. */
export const rescheduleCode = 75

/** What the container's keeper does for it. */
export type PressedContainer = {
  isRunning(): boolean
  /** It was restored, and has not lived long enough to prove its checkpoint good. */
  readonly isOnTrial: boolean
  /** Restored, it fills its memory as it did before. */
  fillsAgain(): void
  checkpoint(request: CheckpointRequest): Promise<CheckpointOutcome>
  /** What an earlier pod of the lineage, or this one, has recorded. @throws ReprieveError where the store does not say */
  recordedNeed(): Promise<{ memoryBytes: number; podUid: string } | undefined>
  /** @throws ReprieveError where the store does not take it */
  recordNeed(memoryBytes: number): Promise<void>
  /** Ends the held container with the code. */
  leave(code: number): void
}

export type PressureParts = StandstillParts & {
  plan: MemoryPlan
  container: PressedContainer
  grower: ResourceGrower | undefined
  /** The brake: for the limit that is in force now, or none. */
  brake: { arm(): Promise<void>; letGo(): Promise<void> }
  name: string
  /** Told of what is known before the answer: that the application runs on while one is still being tried. */
  told?: (answered: Answered) => void
}

type Facts = Pick<Answered, 'at' | 'limitBytes' | 'usedBytes'>

export type Answered = {
  at: string
  limitBytes: number
  usedBytes: number
  did: PressureAnswer['do'] | 'nothing'
  toBytes?: number
  why?: string
}

/** @returns undefined where it was not the time to do anything */
export async function answerCrossing(
  parts: PressureParts,
  crossing: Crossing,
): Promise<Answered | undefined> {
  // A checkpoint under way, or a preparation: the brake holds, and the next crossing is told again.
  if (!parts.container.isRunning()) return undefined
  const facts: Facts = {
    at: new Date().toISOString(),
    limitBytes: crossing.limitBytes,
    usedBytes: unreclaimableBytes(crossing.usage),
  }
  const standstill = new Standstill(parts)
  const tooLong = (why: string) => {
    parts.log.warn({ ...facts, why }, 'the application stood still for too long and was let go')
    parts.told?.({ ...facts, did: 'nothing', why })
  }
  try {
    await standstill.begin()
    const answered = await decide({ ...parts, standstill, limit: () => standstill.limit(tooLong) }, facts)
    const why = [answered.why, standstill.why].filter((part) => part !== undefined).join('; ')
    return why === '' ? answered : { ...answered, why }
  } finally {
    await standstill.end()
  }
}

/** `limit`: from now on it stands still for a while only. */
type Standing = PressureParts & { standstill: Standstill; limit: () => void }

async function decide(parts: Standing, facts: Facts): Promise<Answered> {
  const { plan, log } = parts
  const { limitBytes } = facts
  const without: { grow?: string; reschedule?: string } = {}
  for (;;) {
    const answer = answerPressure(plan, limitBytes, without)
    if (answer.do === 'grow') {
      const why = await grow(parts, answer.toBytes)
      if (why !== undefined) {
        without.grow = `growing in place failed: ${why}`
        continue
      }
      log.info({ ...facts, toBytes: answer.toBytes }, 'the application was given more memory')
      return { ...facts, did: 'grow', toBytes: answer.toBytes }
    }
    parts.limit()
    if (answer.do === 'reschedule') {
      const why = await reschedule(parts, limitBytes, answer.toBytes)
      if (why !== undefined) {
        without.reschedule = why
        continue
      }
      log.warn(
        { ...facts, toBytes: answer.toBytes, code: rescheduleCode },
        'the application was ended with a checkpoint: its replacement is to have more memory',
      )
      return { ...facts, did: 'reschedule', toBytes: answer.toBytes }
    }
    return await checkpoint(parts, facts, answer.because)
  }
}

/**
 * Not of an application that has only just gone on from one. Restored into as much memory it is as full again at once: a checkpoint then would
 * follow each death, none would ever count as what it dies of, and it would be killed for ever, without a start from its beginning.
 */
async function checkpoint(parts: Standing, facts: Facts, because: string | undefined): Promise<Answered> {
  const { container, log, brake } = parts
  if (container.isOnTrial) {
    container.fillsAgain()
    // Another one would take the one that it came from off its trial, and what dies of its memory at once would be restored for ever.
    await brake.letGo()
    const restored = 'it has just been restored: the checkpoint that it came from is kept'
    const why = [because, restored].filter((part) => part !== undefined).join('; ')
    log.warn({ ...facts, why }, 'the application fills its memory as it did before')
    return { ...facts, did: 'nothing', why }
  }
  const outcome = await container.checkpoint(requestOf(parts, 'resume'))
  // Held by the brake it would never end; without, it runs as if we were not there.
  await brake.letGo()
  const why = [because, outcome.outcome === 'failed' ? `no checkpoint: ${outcome.detail}` : undefined]
    .filter((part) => part !== undefined)
    .join('; ')
  const told = { ...facts, ...(why === '' ? {} : { why }) }
  if (outcome.outcome === 'failed')
    log.error(told, 'the application fills its memory, and no checkpoint was taken')
  else if (because === undefined) log.info(told, 'the application fills its memory: a checkpoint was taken')
  else
    log.warn(told, 'the application fills its memory and can have no more: it goes on with a checkpoint kept')
  return { ...told, did: outcome.outcome === 'taken' ? 'checkpoint' : 'nothing' }
}

/** @returns why it is not in force */
async function grow(
  { grower, name, cgroup, brake, log, limit }: Standing,
  toBytes: number,
): Promise<string | undefined> {
  if (grower === undefined) return 'nobody here resizes pods'
  const until = performance.now() + growDeadlineMs
  const growth = await grower.grow(name, toBytes, growDeadlineMs)
  if (growth.outcome === 'refused') return growth.why
  while (!isInForce(await cgroup.limitBytes(), toBytes)) {
    if (performance.now() > until) return `the new limit was not in force after ${growDeadlineMs} ms`
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  limit()
  await brake.arm().catch((error) => log.warn({ err: error }, 'the brake could not be set anew'))
  return undefined
}

/** @returns why it was not ended */
async function reschedule(parts: Standing, limitBytes: number, toBytes: number): Promise<string | undefined> {
  const { container } = parts
  try {
    const need = await container.recordedNeed()
    if (need !== undefined && need.memoryBytes > limitBytes)
      return `${need.memoryBytes} bytes were recorded as needed already, and this pod was not given them`
    await container.recordNeed(toBytes)
  } catch (error) {
    return `what it needs could not be recorded: ${describeError(error)}`
  }
  const outcome = await container.checkpoint(requestOf(parts, 'end'))
  if (outcome.outcome === 'failed') return `no checkpoint: ${outcome.detail}`
  container.leave(rescheduleCode)
  return undefined
}

function requestOf({ standstill }: Standing, afterwards: 'resume' | 'end'): CheckpointRequest {
  return {
    trigger: 'memory',
    reason: 'the application fills its memory',
    afterwards,
    deadline: Date.now() + checkpointDeadlineMs,
    // CRIU's own instructions run inside the tasks: they must neither be frozen nor held by the brake.
    held: () => standstill.release(),
  }
}
