/** What can be done about one container's full memory, each by itself; which of it is done, pressure.ts decides. */
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../../src/errors.ts'
import type { MemoryPlan } from '../../../src/pod-plan.ts'
import { Deadline } from '../../../src/deadline.ts'
import type { CheckpointOutcome, CheckpointRequest } from '../../checkpoint/request.ts'
import type { Doing } from '../../container/state.ts'
import { isInForce, nobodyResizes, type PressureAnswer } from './growth.ts'
import type { ResourceGrower } from './resource-grower.ts'
import { standstillMs, type Standstill, type StandstillParts } from './standstill.ts'
import type { EndedContainer, PendingEnd } from './pending-end.ts'

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

/** The container, as its keeper offers it. */
export type PressedContainer = {
  readonly doing: Doing
  /** Resolves when `doing` has another value, or the signal aborts. */
  leaves(doing: Doing, signal: AbortSignal): Promise<void>
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
  /** Ends the container that is kept open with the code. */
  leave(code: number): void
}

export type PressureParts = StandstillParts & {
  plan: MemoryPlan
  container: PressedContainer
  grower: ResourceGrower | undefined
  /** Sets the throttle for the limit that is in force, or removes it. */
  throttle: { arm(): Promise<void>; disarm(): Promise<void> }
  name: string
  launcherPid: number
  /** Through which the pod's end is noticed meanwhile; tests may do without. */
  ending?: EndedContainer
  /** How often it was to be ended for more memory in vain. */
  reschedules: { failed: number }
  /** Called before the answer is complete: the application runs on while one is still being tried. */
  report?: (answered: Answered) => void
  /** Called with the standstill, for the watch, which knows when CRIU stops the application and when it resumes it. */
  stands?: (standstill: Standstill) => void
}

export type Facts = Pick<Answered, 'at' | 'limitBytes' | 'usedBytes'>

export type Answered = {
  at: string
  limitBytes: number
  usedBytes: number
  /** `end`: the pod was told to end meanwhile, and the application was ended with a checkpoint. */
  did: PressureAnswer['do'] | 'end' | 'nothing'
  toBytes?: number
  why?: string
  /** It can have no more, and goes on all the same. */
  exhausted?: true
}

/** `limit`: from now on the application stays frozen for a limited time only. */
export type Growing = PressureParts & { limit: () => void; end: PendingEnd | undefined }
export type Standing = Growing & { standstill: Standstill }

/** Reasons, of which some may not be there. */
export function joined(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join('; ')
}

/** Takes the last checkpoint in place of the preStop hook, which cannot run in a frozen container. */
export async function endAtPodsEnd(parts: Standing, facts: Facts): Promise<Answered> {
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
    log.error(
      { event: 'memory.end_unsaved', ...facts, why: outcome.detail },
      'the application ends without a last checkpoint',
    )
    return { ...facts, did: 'nothing', why: `${why}; no checkpoint: ${outcome.detail}` }
  }
  container.leave(end?.code ?? 0)
  return { ...facts, did: 'end', why }
}

/**
 * Takes no checkpoint of an application that has only just been restored. Restored into as much memory, it fills that again at once. A
 * checkpoint would follow each restore, and none would count as the cause of its death. The application would be killed for ever, and never
 * start from its beginning.
 */
export async function checkpoint(
  parts: Standing,
  facts: Facts,
  because: string | undefined,
): Promise<Answered> {
  const { container, log, throttle } = parts
  if (container.isOnTrial) {
    container.fillsAgain()
    // Another checkpoint would end the trial of the one it came from, and an application that dies at once would be restored for ever.
    await throttle.disarm()
    const restored = 'it has just been restored: the checkpoint that it came from is kept'
    const why = joined(because, restored)
    log.warn(
      { event: 'memory.full_again', ...facts, why },
      'the application fills its memory as it did before',
    )
    return { ...facts, did: 'nothing', why }
  }
  await aboutToBeSaved(parts)
  if (container.doing !== 'runs') {
    await throttle.disarm()
    const why = joined(because, 'a checkpoint of it is under way')
    log.warn(
      { event: 'memory.full_meanwhile', ...facts, why },
      'the application fills its memory while a checkpoint is under way',
    )
    return { ...facts, did: 'nothing', why }
  }
  const outcome = await container.checkpoint(requestOf(parts, 'resume'))
  // A throttled application would never end. Without the throttle it runs as if Reprieve were not there. It may have more memory by now.
  const hasMore = (await parts.cgroup.limitBytes()) > facts.limitBytes
  if (hasMore) await throttle.arm()
  else await throttle.disarm()
  if (outcome.outcome === 'failed') {
    const why = joined(because, `no checkpoint: ${outcome.detail}`)
    log.error(
      { event: 'memory.unsaved', ...facts, why },
      'the application fills its memory, and no checkpoint was taken',
    )
    return { ...facts, did: 'nothing', why }
  }
  if (because === undefined || hasMore) {
    log.info({ event: 'memory.saved', ...facts }, 'the application fills its memory: a checkpoint was taken')
    return { ...facts, did: 'checkpoint' }
  }
  const why = because
  log.warn({ event: 'memory.exhausted', ...facts, why }, 'the application fills its memory and can have no more: it goes on with a checkpoint kept') // prettier-ignore
  return { ...facts, did: 'checkpoint', why, exhausted: true }
}

/** Waits until CRIU has stopped the application: thawed before, it could be killed before it is saved. At most as long as a standstill. */
function aboutToBeSaved({ container, standstillMs: ms = standstillMs }: Standing): Promise<void> {
  return container.leaves('to-be-saved', AbortSignal.timeout(ms))
}

/** @returns why it is not in force */
export async function grow(
  { grower, name, cgroup, throttle, log, limit, end }: Growing,
  toBytes: number,
): Promise<string | undefined> {
  if (grower === undefined) return nobodyResizes
  const growing = { until: Number.POSITIVE_INFINITY, refused: undefined as string | undefined }
  // Not awaited: a new limit may be in force before its answer is here.
  void grower.grow(name, toBytes, growDeadlineMs).then((growth) => {
    if (growth.outcome === 'refused') growing.refused = growth.why
    else growing.until = performance.now() + growDeadlineMs
  })
  while (!isInForce(await cgroup.limitBytes(), toBytes)) {
    if (end?.look() !== undefined) return 'the pod is told to end'
    if (growing.refused !== undefined) return growing.refused
    if (performance.now() > growing.until) return `the new limit was not in force after ${growDeadlineMs} ms`
    await delay(10)
  }
  limit()
  await throttle
    .arm()
    .catch((error) =>
      log.warn({ event: 'memory.throttle_failed', err: error }, 'the throttle could not be set again'),
    )
  return undefined
}

/** Records the memory that the next pod needs. @returns why it does not help to end this one */
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

/** Ends the application for a pod with more memory. @returns why it was not ended */
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
    // CRIU's own instructions run inside the tasks, which must be neither frozen nor throttled. An application that is to end with this
    // checkpoint may have to be dumped again: the watch (MemoryWatch) then restores both, so that it does not fill the rest between two tries.
    stopped: async () => {
      end?.look()
      if (afterwards === 'resume') await standstill.release()
    },
  }
}
