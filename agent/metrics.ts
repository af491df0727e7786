/** The metrics of the agent, by prom-client. Labels come from closed sets. Every series exists from the start, so that a rate covers the first event. */
import { Counter, Gauge, Registry } from 'prom-client'
import { podEventReasons, type PodEventReason } from '../src/agent/report.ts'
import { resizeOutcomes, type ResizeOutcome } from './resizer.ts'

const kinds = ['pods', 'nodes'] as const
const endings = ['ended', 'gone', 'failed'] as const
const written = ['event', 'condition'] as const
const writeOutcomes = ['written', 'failed', 'dropped'] as const

export class AgentMetrics {
  readonly registry = new Registry()
  readonly #restarts = new Counter({
    name: 'reprieve_agent_watch_restarts_total',
    help: 'Watches at the API server that ended: as usual, with 410 Gone, or in another way.',
    labelNames: ['kind', 'why'],
    registers: [this.registry],
  })
  readonly #resizes = new Counter({
    name: 'reprieve_agent_resizes_total',
    help: 'Requests of sidecars for more memory, by what became of them.',
    labelNames: ['outcome'],
    registers: [this.registry],
  })

  readonly #heard = new Counter({
    name: 'reprieve_agent_pod_events_total',
    help: 'What the sidecars of the node reported, by the reason of the Event.',
    labelNames: ['reason'],
    registers: [this.registry],
  })
  readonly #writes = new Counter({
    name: 'reprieve_agent_writes_total',
    help: 'Events and conditions of pods, by what became of them; a pod that had too many of them written had the next one dropped.',
    labelNames: ['what', 'outcome'],
    registers: [this.registry],
  })

  constructor(counts: () => { protected: number; reached: number }) {
    for (const kind of kinds) for (const why of endings) this.#restarts.inc({ kind, why }, 0)
    for (const outcome of resizeOutcomes) this.#resizes.inc({ outcome }, 0)
    for (const reason of podEventReasons) this.#heard.inc({ reason }, 0)
    for (const what of written) for (const outcome of writeOutcomes) this.#writes.inc({ what, outcome }, 0)
    this.registry.registerMetric(gauge('reprieve_agent_protected_pods', 'Protected pods of the node that have not ended.', () => counts().protected)) // prettier-ignore
    this.registry.registerMetric(gauge('reprieve_agent_reached_pods', 'Those with whose sidecars the agent talks.', () => counts().reached)) // prettier-ignore
  }

  watchRestarted(kind: (typeof kinds)[number], why: (typeof endings)[number]): void {
    this.#restarts.inc({ kind, why })
  }

  heard(reason: PodEventReason): void {
    this.#heard.inc({ reason })
  }

  wrote(what: (typeof written)[number], outcome: (typeof writeOutcomes)[number]): void {
    this.#writes.inc({ what, outcome })
  }

  resized(outcome: ResizeOutcome): void {
    this.#resizes.inc({ outcome })
  }
}

function gauge(name: string, help: string, read: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(read())
    },
  })
}
