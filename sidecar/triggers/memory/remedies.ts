/** What can be done about one container's full memory, each by itself; which of it is done, pressure.ts decides. */
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../../src/errors.ts'
import type { MemoryPlan } from '../../../src/pod-plan.ts'
import { Deadline } from '../../../src/deadline.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../checkpoint/request.ts'
import type { Doing } from '../../container/state.ts'
import { isInForce, type PressureAnswer } from './growth.ts'
import type { ResourceGrower } from './resource-grower.ts'
import { standstillMs, type Standstill, type StandstillParts } from './standstill.ts'
import type { EndedContainer, ToldToEnd } from './told-to-end.ts'

/** A resize that the kubelet accepts is in force within a second (0.25 s on Kubernetes 1.36); one that it defers may never be. */
// @deadline A resize is not answered, or not put into force | The next answer to a full memory; for each of both
const growDeadlineMs = 10_000
/** As long as a checkpoint asked for by hand may take: nobody else's deadline is near. */
// @deadline A checkpoint for a full memory does not end | It is given up
export const checkpointDeadlineMs = 600_000
/** sysexits(3), EX_TEMPFAIL: "the user is invited to retry". Not 0, or a Job would take it for done. */
export const rescheduleCode = 75
export const memoryReason = 'the application fills its memory'
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
  launcherPid: number
  /** How the pod's end is heard of meanwhile; tests may do without. */
  ending?: EndedContainer
  /** How often it was to be ended for more memory in vain. */
  reschedules: { failed: number }
  /** Told of what is known before the answer: that the application runs on while one is still being tried. */
  told?: (answered: Answered) => void
  /** Told of the standing still, for who knows when CRIU holds the application and when it lets go. */
  stands?: (standstill: Standstill) => void
}

export type Facts = Pick<Answered, 'at' | 'limitBytes' | 'usedBytes'>

export type Answered = {
  at: string
  limitBytes: number
  usedBytes: number
  /** `end`: the pod was told to end meanwhile, and that was done. */
  did: PressureAnswer['do'] | 'end' | 'nothing'
  toBytes?: number
  why?: string
  /** It can have no more, and goes on all the same. */
  exhausted?: true
}

/** `limit`: from now on it stands still for a while only. */
export type Growing = PressureParts & { limit: () => void; end: ToldToEnd | undefined }
export type Standing = Growing & { standstill: Standstill }

/** Reasons, of which some may not be there. */
export function joined(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join('; ')
}

/** Instead of its preStop, which could not run. */
export async function endAsTold(parts: Standing, facts: Facts): Promise<Answered> {
  const { container, end, log, standstill } = parts
  const why = 'the pod was told to end while the application stood still'
  parts.limit()
  const outcome = await container.checkpoint({
    trigger: 'prestop',
    reason: why,
    afterwards: 'end',
    deadline: end?.look() ?? Deadline.in(0),
  })
  if (outcome.outcome === 'failed') {
    await standstill.release()
    log.error({ ...facts, why: outcome.detail }, 'the application ends without a last checkpoint')
    return { ...facts, did: 'nothing', why: `${why}; no checkpoint: ${outcome.detail}` }
  }
  container.leave(end?.code ?? 0)
  return { ...facts, did: 'end', why }
}

/**
 * Not of an application that has only just gone on from one. Restored into as much memory it is as full again at once: a checkpoint then would
 * follow each death, none would ever count as what it dies of, and it would be killed for ever, without a start from its beginning.
 */
export async function checkpoint(
  parts: Standing,
  facts: Facts,
  because: string | undefined,
): Promise<Answered> {
  const { container, log, brake } = parts
  if (container.isOnTrial) {
    container.fillsAgain()
    // Another one would take the one that it came from off its trial, and what dies of its memory at once would be restored for ever.
    await brake.letGo()
    const restored = 'it has just been restored: the checkpoint that it came from is kept'
    const why = joined(because, restored)
    log.warn({ ...facts, why }, 'the application fills its memory as it did before')
    return { ...facts, did: 'nothing', why }
  }
  await aboutToBeSaved(parts)
  if (container.doing !== 'runs') {
    await brake.letGo()
    const why = joined(because, 'a checkpoint of it is under way')
    log.warn({ ...facts, why }, 'the application fills its memory while a checkpoint is under way')
    return { ...facts, did: 'nothing', why }
  }
  const outcome = await container.checkpoint(requestOf(parts, 'resume'))
  // Held by the brake it would never end; without, it runs as if we were not there. It may have been given more meanwhile.
  const hasMore = (await parts.cgroup.limitBytes()) > facts.limitBytes
  if (hasMore) await brake.arm()
  else await brake.letGo()
  if (outcome.outcome === 'failed') {
    const why = joined(because, `no checkpoint: ${outcome.detail}`)
    log.error({ ...facts, why }, 'the application fills its memory, and no checkpoint was taken')
    return { ...facts, did: 'nothing', why }
  }
  if (because === undefined || hasMore) {
    log.info(facts, 'the application fills its memory: a checkpoint was taken')
    return { ...facts, did: 'checkpoint' }
  }
  const why = because
  log.warn({ ...facts, why }, 'the application fills its memory and can have no more: it goes on with a checkpoint kept') // prettier-ignore
  return { ...facts, did: 'checkpoint', why, exhausted: true }
}

/** Let go before CRIU has it, it would be killed before it is saved. Not for longer than it stands still. */
async function aboutToBeSaved({ container, standstillMs: ms = standstillMs }: Standing): Promise<void> {
  for (const until = performance.now() + ms; performance.now() < until; await delay(10))
    if (container.doing !== 'to-be-saved') return
}

/** @returns why it is not in force */
export async function grow(
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

/** What the next pod has to have. @returns why it does not help to end this one */
export async function recordNeed(
  { container, reschedules }: Standing,
  limitBytes: number,
  toBytes: number,
): Promise<string | undefined> {
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
  return undefined
}

/** For a pod with more. @returns why it was not ended */
export async function endForMore(parts: Standing): Promise<string | undefined> {
  const { container, reschedules } = parts
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
    reason: memoryReason,
    afterwards,
    deadline: Deadline.in(checkpointDeadlineMs),
    // CRIU's own instructions run inside the tasks: they must neither be frozen nor held by the brake. For one that is to end with this, and may
    // have to be dumped once more, both come back if it goes on (MemoryWatch): it must not fill the rest between two tries.
    stopped: async () => {
      end?.look()
      if (afterwards === 'resume') await standstill.release()
    },
  }
}
