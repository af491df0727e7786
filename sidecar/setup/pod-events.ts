/**
 * What happens to the containers of the pod that its owner should know, and the checkpoints that stand: for the node agent, which writes both
 * into the API. What it has not heard waits here, and no more of it than a few lines.
 */
import {
  mostPodEvents,
  voiding,
  type PodEvent,
  type Report,
  type StandingCheckpoint,
} from '../../src/agent/report.ts'
import { printable, shortened } from '../../src/agent/protocol.ts'

export class PodEvents {
  #events: PodEvent[] = []
  readonly #checkpoints = new Map<string, StandingCheckpoint>()
  #changed: () => void = () => undefined

  tell(event: PodEvent): void {
    if (voiding.has(event.reason)) this.#checkpoints.delete(event.container)
    this.#add(event)
  }

  /** The container has this checkpoint: taken just now, or restored. */
  saved(
    event: PodEvent & { reason: 'CheckpointTaken' | 'Restored' },
    checkpoint: { id: string; atMs: number },
  ): void {
    this.#checkpoints.set(event.container, { container: event.container, ...checkpoint })
    this.#add(event)
  }

  /** Calls back after each change. */
  listen(changed: () => void): void {
    this.#changed = changed
  }

  get report(): Report {
    return { events: [...this.#events], checkpoints: [...this.#checkpoints.values()] }
  }

  /** The agent has heard of them. */
  told(events: readonly PodEvent[]): void {
    this.#events = this.#events.filter((event) => !events.includes(event))
  }

  #add({ reason, container, code, detail }: PodEvent): void {
    const [kind, said] = [code, detail].map((text) => shortened(printable(text)) || reason) as [
      string,
      string,
    ]
    const event = { reason, container, code: kind, detail: said }
    this.#events = [...this.#events, event].slice(-mostPodEvents)
    this.#changed()
  }
}
