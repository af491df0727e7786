/**
 * The conversation with the sidecar of one pod: called, greeted, told which disruptions stand whenever that changes, and asked for a sign of
 * life in between. When it ends, the agent calls again, for as long as the pod is there. Each side survives the other's restart.
 */
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { protocols, type Disruption } from '../src/agent/protocol.ts'
import { Talk, type Body } from '../src/agent/talk.ts'
import { describeError } from '../src/errors.ts'
import type { EventLog } from '../src/log.ts'

// @deadline A sidecar does not answer the node agent | The agent closes the connection, and calls again
const answerMs = 10_000
/** The sidecar takes the agent for gone after a minute without a word, and the agent the sidecar. */
const [pingMs, silenceMs] = [20_000, 60_000]
/** Before each further call of a sidecar that is not there: its container may not have started yet. */
const [firstPauseMs, longestPauseMs] = [100, 5_000]

export type PodLinkParts = {
  pod: { uid: string; namespace: string; name: string }
  agent: { version: string; node: string }
  call: (uid: string) => Promise<Socket>
  /** Answers what the sidecar asks. What it throws is told to the sidecar. */
  serve: (verb: string, body: Body) => Promise<Body>
  log: EventLog
}

export class PodLink {
  readonly #parts: PodLinkParts
  readonly #stopped = new AbortController()
  #wanted: readonly Disruption[] = []
  #talk: Talk | undefined
  #told = ''
  #isTelling = false
  #isRefused = false
  /** Ends the pause before the next call. */
  #wake = new AbortController()

  constructor(parts: PodLinkParts) {
    this.#parts = parts
    void this.#live()
  }

  get isOpen(): boolean {
    return this.#talk !== undefined
  }

  /** Everything that stands now. */
  tell(disruptions: readonly Disruption[]): void {
    this.#wanted = disruptions
    if (this.#talk !== undefined) void this.#tell(this.#talk)
  }

  /** The pod may have a sidecar by now that listens. */
  hurry(): void {
    this.#wake.abort()
  }

  stop(): void {
    this.#stopped.abort()
    this.#talk?.close('the pod is gone')
  }

  async #live(): Promise<void> {
    const { signal } = this.#stopped
    for (let pauseMs = firstPauseMs; !signal.aborted;) {
      const began = performance.now()
      await this.#converse().catch((error: unknown) => {
        const { log } = this.#parts
        log.debug({ event: 'agent.pod_lost', why: describeError(error) }, 'a sidecar could not be called')
      })
      pauseMs =
        performance.now() - began > longestPauseMs ? firstPauseMs : Math.min(2 * pauseMs, longestPauseMs)
      this.#wake = new AbortController()
      const over = AbortSignal.any([signal, this.#wake.signal])
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: over }).catch(() => undefined)
    }
  }

  /** Resolves when the conversation has ended. @throws Error where there is none */
  async #converse(): Promise<void> {
    const { pod, agent, call, log } = this.#parts
    const socket = await call(pod.uid)
    const ended = Promise.withResolvers<string>()
    const { serve } = this.#parts
    const talk = new Talk({ socket, serve, silenceMs, closed: ended.resolve })
    if (this.#stopped.signal.aborted) return talk.close('the pod is gone')
    const body = { protocols, podUid: pod.uid, agent: agent.version, node: agent.node }
    const hello = await talk.ask('hello', body, answerMs)
    if (!hello.ok) {
      if (!this.#isRefused) log.warn({ event: 'agent.pod_refused', why: hello.why }, 'a sidecar refuses the conversation') // prettier-ignore
      this.#isRefused = true
      return talk.close(hello.why)
    }
    this.#isRefused = false
    log.info({ event: 'agent.pod_reached', sidecar: hello.body.sidecar }, 'a sidecar was reached')
    this.#talk = talk
    this.#told = ''
    const ping = setInterval(() => void this.#ping(talk), pingMs)
    void this.#tell(talk)
    const why = await ended.promise
    clearInterval(ping)
    this.#talk = undefined
    log.info({ event: 'agent.pod_lost', why }, 'the conversation with a sidecar has ended')
  }

  async #ping(talk: Talk): Promise<void> {
    const reply = await talk.ask('ping', {}, answerMs)
    if (!reply.ok) talk.close(reply.why)
  }

  async #tell(talk: Talk): Promise<void> {
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      for (
        let text = JSON.stringify(this.#wanted);
        text !== this.#told;
        text = JSON.stringify(this.#wanted)
      ) {
        const count = this.#wanted.length
        const reply = await talk.ask('disruptions', { disruptions: this.#wanted }, answerMs)
        if (!reply.ok) return talk.close(reply.why)
        this.#told = text
        this.#parts.log.debug({ event: 'agent.told', count, ...reply.body }, 'a sidecar was told which disruptions stand') // prettier-ignore
      }
    } finally {
      this.#isTelling = false
    }
  }
}
