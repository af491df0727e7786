/**
 * Writes into the API what the sidecar of one pod reports: Events of the pod and of its owner, and the pod's condition. How much a pod can have
 * written is bounded, whatever its sidecar says.
 */
import { mostPodEvents, type PodEvent, type Report, type StandingCheckpoint } from '../src/agent/report.ts'
import type { EventLog } from '../src/log.ts'
import { ConditionWriter } from './checkpointed-condition.ts'
import { EventSeries } from './event-series.ts'
import { eventTexts, noteOf } from './event-texts.ts'
import type { Kube, Regarding } from './kube.ts'
import type { AgentMetrics } from './metrics.ts'
import type { PodView } from './pod-view.ts'

/** Between two writes of one object. */
const pauseMs = 60_000
/** About a minute altogether: an API server may be away for so long. */
const retryPausesMs = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]
/** Different events of a pod: so many at once, and one more with each of these pauses. */
const [mostAtOnce, refillMs] = [mostPodEvents, 60_000]

export type PodReporterParts = {
  kube: Kube
  pod: () => PodView | undefined
  node: string
  metrics: AgentMetrics
  log: EventLog
  /** For tests. */
  pauseMs?: number
}

export class PodReporter {
  readonly #parts: PodReporterParts
  readonly #condition: ConditionWriter
  /** By what they tell; the one that happened last is the last. */
  readonly #series = new Map<string, EventSeries[]>()
  #allowed = mostAtOnce
  #countedMs = performance.now()

  constructor(parts: PodReporterParts) {
    this.#parts = parts
    const { kube, pod, metrics, log } = parts
    this.#condition = new ConditionWriter({
      kube,
      pod,
      pauseMs: parts.pauseMs ?? pauseMs,
      retryPausesMs,
      counted: (outcome) => metrics.wrote('condition', outcome),
      log,
    })
  }

  hear({ events, checkpoints }: Report): void {
    const names = new Set(this.#parts.pod()?.mayGrowTo?.keys())
    const [heard, standing] = [events, checkpoints].map((all) => all.filter(({ container }) => names.has(container))) as [PodEvent[], StandingCheckpoint[]] // prettier-ignore
    for (const event of heard) this.#happened(event)
    this.#condition.hear(heard, standing)
  }

  /** The pod is gone: what was counted is written, and nothing after that. */
  stop(): void {
    this.#condition.stop()
    for (const series of this.#series.values()) for (const one of series) one.stop()
    this.#series.clear()
  }

  #happened(event: PodEvent): void {
    const { pod, metrics } = this.#parts
    const view = pod()
    if (view === undefined) return
    metrics.heard(event.reason)
    const key = JSON.stringify([event.reason, event.container, event.code])
    const known = this.#series.get(key)
    if (known === undefined && !this.#mayBegin()) return metrics.wrote('event', 'dropped')
    const series = known ?? regardingOf(view).map((about) => this.#begin(event, about))
    this.#series.delete(key)
    this.#series.set(key, series)
    for (const one of series) one.happened()
    this.#forgetOldest()
  }

  #mayBegin(): boolean {
    const refilled = Math.floor((performance.now() - this.#countedMs) / refillMs)
    this.#allowed = Math.min(mostAtOnce, this.#allowed + refilled)
    this.#countedMs += refilled * refillMs
    return this.#allowed > 0 && this.#allowed-- > 0
  }

  #forgetOldest(): void {
    for (const [key, series] of this.#series) {
      if (this.#series.size <= mostAtOnce) return
      for (const one of series) one.stop()
      this.#series.delete(key)
    }
  }

  #begin(event: PodEvent, { regarding, related }: About): EventSeries {
    const { kube, node, metrics, log } = this.#parts
    const { type, action } = eventTexts[event.reason]
    return new EventSeries({
      kube,
      event: {
        reason: event.reason,
        type,
        action,
        note: noteOf(event, related?.name),
        node,
        regarding,
        related,
      },
      pauseMs: this.#parts.pauseMs ?? pauseMs,
      retryPausesMs,
      counted: (outcome) => metrics.wrote('event', outcome),
      log,
    })
  }
}

type About = { regarding: Regarding; related: Regarding | undefined }

/** `kubectl describe` shows the events of the very object: on the pod, and on the Job or the like that has made it. */
function regardingOf({ namespace, name, uid, owner }: PodView): About[] {
  const pod = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
  const ofPod = { regarding: pod, related: undefined }
  return owner === undefined ? [ofPod] : [ofPod, { regarding: { ...owner, namespace }, related: pod }]
}
