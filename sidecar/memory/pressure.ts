/**
 * What is done when one container's memory fills up: it stands still first, and only then is it decided. Whatever comes of it,
 * it goes on in the end, or is ended because its checkpoint is in the store.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../src/errors.ts'
import type { MemoryPlan } from '../../src/pod-plan.ts'
import type { CheckpointRequest } from '../checkpoint.ts'
import type { Doing } from '../container-state.ts'
import type { CheckpointOutcome } from '../asked-checkpoints.ts'
import { answerPressure, isInForce, type PressureAnswer } from './growth.ts'
import type { ResourceGrower } from './resource-grower.ts'
import { Standstill, standstillMs, type StandstillParts } from './standstill.ts'
import { type EndedContainer, ToldToEnd } from './told-to-end.ts'
import type { Crossing } from './tripwire.ts'
import { isPressure, mayRearm, unreclaimableBytes } from './usage.ts'

/** A resize that the kubelet accepts is in force within a second (0.25 s on Kubernetes 1.36); one that it defers may never be. */
const growDeadlineMs = 10_000
/** As long as a checkpoint asked for by hand may take: nobody else's deadline is near. */
const checkpointDeadlineMs = 600_000
/** sysexits(3), EX_TEMPFAIL: "the user is invited to retry". Not 0, or a Job would take it for done. */
export const rescheduleCode = 75
/** How often a pod records its need and tries to end with a checkpoint: a dump may fail by chance, or always. */
const mostReschedules = 3

/** What the container's keeper does for it. */
export type PressedContainer = {
  readonly doing: Doing
  readonly podUid: string
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
  /** How the pod's end is heard of meanwhile; tests may do without. */
  ending?: EndedContainer
  /** How often it was to be ended for more memory in vain. */
  reschedules: { failed: number }
  /** Told of what is known before the answer: that the application runs on while one is still being tried. */
  told?: (answered: Answered) => void
  /** Told of the standing still, for who knows when CRIU holds the application and when it lets go. */
  stands?: (standstill: Standstill) => void
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
      parts.log.warn({ ...facts, why }, 'the application stood still for too long and was let go')
      parts.told?.({ ...facts, did: 'nothing', why })
    }
    const answered = await decide(
      { ...parts, standstill, end, limit: () => standstill.limit(tooLong) },
      facts,
    )
    const why = [answered.why, standstill.why].filter((part) => part !== undefined).join('; ')
    return why === '' ? answered : { ...answered, why }
  } finally {
    // Before it goes on: what is withheld from it is withheld no longer.
    end?.passOn()
    await standstill.end()
  }
}

/**
 * Of what is let go for want of memory: whoever could not give it may be able to now. It is not frozen for the question, and
 * nothing but that is done: a checkpoint was taken when it was let go, or is being stored.
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
    log.debug({ ...facts, why }, 'the application can still have no more memory')
    return undefined
  }
  log.info({ ...facts, toBytes: answer.toBytes }, 'the application was given more memory after all')
  return { ...facts, did: 'grow', toBytes: answer.toBytes }
}

/**
 * Not while CRIU holds it, and who has been told to end is not frozen: its end is to come soon. Where it does not (the store hangs), it is
 * not held by the brake for longer than anybody stands still.
 */
async function isTime({ container, brake, log, standstillMs: ms = standstillMs }: PressureParts) {
  for (const until = performance.now() + ms; container.doing === 'being-ended'; await delay(10))
    if (performance.now() > until) {
      await brake.letGo()
      log.warn({ ms }, 'the checkpoint that is to end the application has not begun: it was let go')
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

/** `limit`: from now on it stands still for a while only. */
type Growing = PressureParts & { limit: () => void; end: ToldToEnd | undefined }
type Standing = Growing & { standstill: Standstill }

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
    const answered = await checkpoint(parts, facts, answer.because)
    return parts.end?.look() === undefined ? answered : await endAsTold(parts, facts)
  }
}

/** Instead of its preStop, which could not run. */
async function endAsTold(parts: Standing, facts: Facts): Promise<Answered> {
  const { container, end, log, standstill } = parts
  const why = 'the pod was told to end while the application stood still'
  parts.limit()
  const outcome = await container.checkpoint({
    trigger: 'prestop',
    reason: why,
    afterwards: 'end',
    deadline: end?.look() ?? Date.now(),
    held: () => standstill.release(),
  })
  if (outcome.outcome === 'failed') {
    await standstill.release()
    log.error({ ...facts, why: outcome.detail }, 'the application ends without a last checkpoint')
    return { ...facts, did: 'nothing', why: `${why}; no checkpoint: ${outcome.detail}` }
  }
  container.leave(end?.code ?? 0)
  return { ...facts, did: 'checkpoint', why }
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
  await aboutToBeSaved(parts)
  if (container.doing !== 'runs') {
    await brake.letGo()
    const why = [because, 'a checkpoint of it is under way'].filter((part) => part !== undefined).join('; ')
    log.warn({ ...facts, why }, 'the application fills its memory while a checkpoint is under way')
    return { ...facts, did: 'nothing', why }
  }
  const outcome = await container.checkpoint(requestOf(parts, 'resume'))
  // Held by the brake it would never end; without, it runs as if we were not there. It may have been given more meanwhile.
  if ((await parts.cgroup.limitBytes()) > facts.limitBytes) await brake.arm()
  else await brake.letGo()
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

/** Let go before CRIU has it, it would be killed before it is saved. Not for longer than it stands still. */
async function aboutToBeSaved({ container, standstillMs: ms = standstillMs }: Standing): Promise<void> {
  for (const until = performance.now() + ms; performance.now() < until; await delay(10))
    if (container.doing !== 'to-be-saved') return
}

/** @returns why it is not in force */
async function grow(
  { grower, name, cgroup, brake, log, limit, end }: Growing,
  toBytes: number,
): Promise<string | undefined> {
  if (grower === undefined) return 'nobody here resizes pods'
  const until = performance.now() + growDeadlineMs
  const asked = grower.grow(name, toBytes, growDeadlineMs)
  const growth = await (end?.unless(asked, { outcome: 'refused', why: 'the pod is told to end' }) ?? asked)
  if (growth.outcome === 'refused') return growth.why
  while (!isInForce(await cgroup.limitBytes(), toBytes)) {
    if (end?.look() !== undefined) return 'the pod is told to end'
    if (performance.now() > until) return `the new limit was not in force after ${growDeadlineMs} ms`
    await delay(10)
  }
  limit()
  await brake.arm().catch((error) => log.warn({ err: error }, 'the brake could not be set anew'))
  return undefined
}

/** @returns why it was not ended */
async function reschedule(parts: Standing, limitBytes: number, toBytes: number): Promise<string | undefined> {
  const { container, reschedules } = parts
  if (reschedules.failed >= mostReschedules)
    return `${reschedules.failed} times it was to end with a checkpoint for a pod with more memory, and none was taken`
  try {
    const need = await container.recordedNeed()
    // What this pod has recorded itself led to no end.
    if (need !== undefined && need.podUid !== container.podUid && need.memoryBytes > limitBytes)
      return `${need.memoryBytes} bytes were recorded as needed by an earlier pod, and this one was not given them`
    await container.recordNeed(toBytes)
  } catch (error) {
    return `what it needs could not be recorded: ${describeError(error)}`
  }
  const outcome = await container.checkpoint(requestOf(parts, 'end'))
  if (outcome.outcome === 'failed') {
    reschedules.failed++
    return `no checkpoint: ${outcome.detail}`
  }
  container.leave(rescheduleCode)
  return undefined
}

function requestOf({ standstill, end }: Standing, afterwards: 'resume' | 'end'): CheckpointRequest {
  return {
    trigger: 'memory',
    reason: 'the application fills its memory',
    afterwards,
    deadline: Date.now() + checkpointDeadlineMs,
    // CRIU's own instructions run inside the tasks: they must neither be frozen nor held by the brake.
    held: () => {
      end?.look()
      return standstill.release()
    },
  }
}
