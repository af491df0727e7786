/** The metrics of the agent, by prom-client. Labels come from closed sets. Every series exists from the start, so that a rate covers the first event. */
import { Counter, Gauge, Registry } from 'prom-client'
import { resizeOutcomes, type ResizeOutcome } from './resizer.ts'

const kinds = ['pods', 'nodes'] as const
const endings = ['ended', 'gone', 'failed'] as const

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

  constructor(counts: () => { protected: number; reached: number }) {
    for (const kind of kinds) for (const why of endings) this.#restarts.inc({ kind, why }, 0)
    for (const outcome of resizeOutcomes) this.#resizes.inc({ outcome }, 0)
    this.registry.registerMetric(gauge('reprieve_agent_protected_pods', 'Protected pods of the node that have not ended.', () => counts().protected)) // prettier-ignore
    this.registry.registerMetric(gauge('reprieve_agent_reached_pods', 'Those with whose sidecars the agent talks.', () => counts().reached)) // prettier-ignore
  }

  watchRestarted(kind: (typeof kinds)[number], why: (typeof endings)[number]): void {
    this.#restarts.inc({ kind, why })
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
