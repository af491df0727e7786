/**
 * The condition `reprieve.dev/Checkpointed` of a pod: whether a replacement would go on from what the pod has saved, and since when that is. Its
 * transition time is the instant of the checkpoint, of the oldest one where several containers are protected: what the pod did after it is what
 * its end would cost. A scheduler may choose its victims by that.
 */
import { printable } from '../src/agent/protocol.ts'
import { voiding, type PodEvent, type StandingCheckpoint } from '../src/agent/report.ts'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'
import { mayPass, statusCodeOf, type Kube } from './kube.ts'
import { PacedWriter } from './paced-writer.ts'
import type { PodView } from './pod-view.ts'
import { retried } from './retry.ts'

export const checkpointedCondition = 'reprieve.dev/Checkpointed'

type Standing = { atMs: number; id: string } | { atMs: number; reason: string; detail: string }
export type CheckpointedCondition = {
  status: 'True' | 'False'
  reason: string
  message: string
  lastTransitionTime: string
}

/** @returns undefined where nothing is known of a container */
export function conditionOf(
  containers: readonly string[],
  standing: ReadonlyMap<string, Standing>,
): CheckpointedCondition | undefined {
  const known = containers.flatMap((container) => {
    const one = standing.get(container)
    return one === undefined ? [] : [{ container, ...one }]
  })
  const oldestFirst = known.sort((one, other) => one.atMs - other.atMs)
  for (const one of oldestFirst)
    if ('reason' in one) {
      const message = printable(`container ${one.container}: ${one.detail}`)
      return { status: 'False', reason: one.reason, message, lastTransitionTime: timeOf(one.atMs) }
    }
  const [oldest] = oldestFirst
  if (oldest === undefined || known.length < containers.length) return undefined
  const each = known.map((one) => ('id' in one ? `${one.container}: ${one.id}` : ''))
  return {
    status: 'True',
    reason: 'CheckpointTaken',
    message: each.join(', '),
    lastTransitionTime: timeOf(oldest.atMs),
  }
}

/** As metav1.Time is written. */
function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -5)}Z`
}

/** A conflict is another pod of the same name. */
const passes = (error: unknown) => statusCodeOf(error) !== 409 && mayPass(error)

export type ConditionParts = {
  kube: Kube
  pod: () => PodView | undefined
  pauseMs: number
  retryPausesMs: readonly number[]
  counted: (outcome: 'written' | 'failed') => void
  log: EventLog
}

export class ConditionWriter {
  readonly #parts: ConditionParts
  readonly #writer: PacedWriter
  readonly #standing = new Map<string, Standing>()
  #written = ''

  constructor(parts: ConditionParts) {
    this.#parts = parts
    this.#writer = new PacedWriter(() => this.#write(), parts.pauseMs)
  }

  hear(events: readonly PodEvent[], checkpoints: readonly StandingCheckpoint[]): void {
    for (const { reason, container, detail } of events)
      if (voiding.has(reason)) this.#standing.set(container, { atMs: Date.now(), reason, detail })
    for (const { container, id, atMs } of checkpoints) this.#standing.set(container, { atMs, id })
    if (this.#text() !== this.#written) this.#writer.due()
  }

  stop(): void {
    this.#writer.stop()
  }

  #text(): string {
    const condition = conditionOf([...(this.#parts.pod()?.mayGrowTo?.keys() ?? [])], this.#standing)
    return condition === undefined ? '' : JSON.stringify({ type: checkpointedCondition, ...condition })
  }

  async #write(): Promise<void> {
    const { kube, pod, retryPausesMs, counted, log } = this.#parts
    try {
      const [view, text] = [pod(), this.#text()]
      if (view === undefined || text === '') return
      const { namespace, name, uid } = view
      // The UID keeps the patch from another pod of the same name.
      const body = { metadata: { uid }, status: { conditions: [JSON.parse(text) as object] } }
      await retried(() => kube.patchPodStatus({ namespace, name }, body), { pausesMs: retryPausesMs, passes, ref: false }) // prettier-ignore
      this.#written = text
      counted('written')
    } catch (error) {
      counted('failed')
      // The sidecar may have nothing more to say for hours. A conflict may be with another writer of the same pod.
      if (mayPass(error)) this.#writer.due()
      log.warn({ event: 'agent.not_written', reason: checkpointedCondition, why: describeError(error) }, 'the condition of a pod could not be written') // prettier-ignore
    }
  }
}
