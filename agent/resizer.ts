/**
 * More memory for a container in place: the agent patches the pod's subresource `resize`, and reads off the pod's conditions what the kubelet
 * makes of it. Only upwards, and no further than the pod's plan allows.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { GrowWish } from '../src/agent/protocol.ts'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import { refusalOf, type Kube } from './kube.ts'
import { readPod, type Condition, type ContainerView, type PodView } from './pod-view.ts'
import { retried } from './retry.ts'

const lookMs = 20
/** Before a patch that failed is sent again. Meanwhile the container stands still. */
const retryPausesMs = [200, 400, 800]
/** What the kubelet must have said by, before the sidecar gives up. */
const marginMs = 500
/** Whatever a sidecar asks for. */
const longestMs = 60_000

export type ResizerParts = {
  kube: Kube
  /** The pod as the watch shows it now. */
  pod: () => PodView | undefined
  counted: (outcome: ResizeOutcome) => void
  log: EventLog
}

export const resizeOutcomes = ['in-force', 'in-progress', 'deferred', 'infeasible', 'error', 'refused', 'silent'] as const // prettier-ignore
export type ResizeOutcome = (typeof resizeOutcomes)[number]

/** Accepted: in force, or about to be. @throws Error with the reason for people where it is not */
export async function grow(parts: ResizerParts, wish: GrowWish): Promise<{ became: ResizeOutcome }> {
  const { counted, log } = parts
  const facts = { container: wish.container, limitBytes: wish.limitBytes }
  const { became, why } = await resize(parts, wish)
  counted(became)
  if (why === undefined) {
    log.info({ event: 'agent.grown', ...facts, became }, 'a container is given more memory')
    return { became }
  }
  log.warn({ event: 'agent.not_grown', ...facts, became, why }, 'a container is not given more memory')
  throw new Error(why)
}

type Resized = { became: ResizeOutcome; why?: string }
const refused = (why: string): Resized => ({ became: 'refused', why })

async function resize({ kube, pod, log }: ResizerParts, wish: GrowWish): Promise<Resized> {
  const until = performance.now() + Math.min(wish.deadlineMs, longestMs) - marginMs
  const before = pod()
  const container = before?.containers.find(({ name }) => name === wish.container)
  if (before === undefined || container === undefined)
    return refused(`the pod has no container ${wish.container}`)
  const why = whyNot(before, container, wish)
  if (why !== undefined) return refused(why)
  const { namespace, name } = before
  let patched: PodView | undefined
  try {
    const patch = patchOf(container, wish.limitBytes)
    patched = readPod(
      await retried(() => kube.resizePod({ namespace, name }, patch), { pausesMs: retryPausesMs, until }),
    )
  } catch (error) {
    return refused(`the API server refuses it: ${refusalOf(error) ?? describeError(error)}`)
  }
  for (;;) {
    const now = pod()
    if (now === undefined) return refused('the pod is gone')
    const resized = outcomeOf(now, wish, patched?.generation)
    // The watch may be behind our own patch.
    const isOurs = [wish.limitBytes, container.limitBytes].includes(limitOf(now, wish.container))
    if (resized?.became === 'infeasible' && isOurs) await takeBack({ kube, log }, now, container)
    if (resized !== undefined) return resized
    if (performance.now() > until)
      return { became: 'silent', why: 'the kubelet has not said what becomes of it' }
    await delay(lookMs)
  }
}

function whyNot({ mayGrowTo }: PodView, { limitBytes }: ContainerView, wish: GrowWish): string | undefined {
  const most = mayGrowTo?.get(wish.container)
  if (limitBytes === undefined) return 'the container has no memory limit'
  if (most === undefined || wish.limitBytes > most)
    return `its plan allows no more than ${most ?? limitBytes} bytes`
  // What is asked for again may be deferred still.
  return wish.limitBytes < limitBytes ? `it has ${limitBytes} bytes already` : undefined
}

/** A request that is as large as the limit grows with it: the QoS class of a pod must not change. */
function patchOf({ name, limitBytes, requestBytes }: ContainerView, bytes: number): object {
  const memory = String(bytes)
  const requests = requestBytes === undefined || requestBytes === limitBytes ? { requests: { memory } } : {}
  return { spec: { containers: [{ name, resources: { limits: { memory }, ...requests } }] } }
}

/** @param generation of the spec that asks for it; undefined where the API server counts none */
function outcomeOf(pod: PodView, wish: GrowWish, generation: number | undefined): Resized | undefined {
  const actual = pod.containers.find(({ name }) => name === wish.container)?.actualLimitBytes
  if (actual !== undefined && actual >= wish.limitBytes) return { became: 'in-force' }
  const isOfNow = (one: Condition) =>
    one.status === 'True' && (one.generation ?? generation ?? 0) >= (generation ?? 0)
  const pending = pod.conditions.find((one) => one.type === 'PodResizePending' && isOfNow(one))
  if (pending?.reason === 'Infeasible') return { became: 'infeasible', why: saidOf(pending) }
  if (pending !== undefined) return { became: 'deferred', why: saidOf(pending) }
  const inProgress = pod.conditions.find((one) => one.type === 'PodResizeInProgress' && isOfNow(one))
  if (inProgress?.reason === 'Error') return { became: 'error', why: saidOf(inProgress) }
  return inProgress && { became: 'in-progress' }
}

function limitOf({ containers }: PodView, container: string): number | undefined {
  return containers.find(({ name }) => name === container)?.limitBytes
}

function saidOf({ reason, message }: Condition): string {
  return `the kubelet says ${reason}: ${message}`
}

/** What never fits would stay in the pod's spec, and in the way of the next resize. Not for what somebody else has asked for meanwhile. */
async function takeBack(
  { kube, log }: Pick<ResizerParts, 'kube' | 'log'>,
  { namespace, name, containers }: PodView,
  before: ContainerView,
): Promise<void> {
  const actual = containers.find((one) => one.name === before.name)?.actualLimitBytes
  const bytes = actual ?? before.limitBytes
  if (bytes === undefined) return
  await kube.resizePod({ namespace, name }, patchOf(before, bytes)).catch((error: unknown) => {
    const about = { event: 'agent.not_grown', container: before.name, why: describeError(error) } as const
    log.warn(about, 'an infeasible resize could not be taken back')
  })
}
