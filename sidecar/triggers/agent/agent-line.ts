/**
 * The line to the node agent: the sidecar listens on `agent.sock`, and the agent of its node calls. Nobody need call: without an agent the
 * sidecar does what it does by itself. agent/PROTOCOL.md tells what is said.
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import {
  commonProtocol,
  parseDisruptions,
  parseHello,
  reportingSince,
  type Hello,
} from '../../../src/agent/protocol.ts'
import { Talk, type Body } from '../../../src/agent/talk.ts'
import type { EventLog } from '../../../src/log.ts'
import type { Growth, ResourceGrower } from '../memory/resource-grower.ts'
import type { PodEvents } from '../../setup/pod-events.ts'
import { agentSource, type Hear } from '../notices/notice.ts'
import type { SourceBook } from '../notices/source-book.ts'
import { noticeOf } from './disruptions.ts'

/** The agent says something at least every 20 s. */
// @deadline The node agent hangs or is gone without a word | The sidecar closes the connection
const silenceMs = 60_000
// @deadline The node agent stays away | The sidecar forgets what it announced
const forgetMs = 300_000
// @deadline The node agent does not take a report | The sidecar keeps it for the next one
const reportMs = 10_000
const nothing = JSON.stringify({ events: [], checkpoints: [] })
/** Connections whose peer is not known yet. The agent calls again. */
const mostUnknown = 4

export type AgentLineParts = {
  path: string
  podUid: string
  version: string
  hear: Hear
  book: SourceBook
  events: PodEvents
  /** The process number behind each connection; 0: a process outside the pod. */
  peerPidsOf: (sockets: readonly Socket[]) => Promise<number[]>
  log: EventLog
  /** For tests. */
  forgetMs?: number
}

type Caller = { talk: Talk; hello: Hello | undefined; protocol: number }

export class AgentLine implements ResourceGrower {
  readonly #parts: AgentLineParts
  #server: Server | undefined
  #caller: Caller | undefined
  #unknown = 0
  #forgetting: NodeJS.Timeout | undefined
  #isReporting = false

  constructor(parts: AgentLineParts) {
    this.#parts = parts
    parts.events.listen(() => void this.#report())
  }

  /** Whether the agent of the node is there. */
  get isOpen(): boolean {
    return this.#caller?.hello !== undefined
  }

  get status(): { agent: string; node: string } | undefined {
    const hello = this.#caller?.hello
    return hello && { agent: hello.agent, node: hello.node }
  }

  /** A socket that cannot be made costs the agent only: it is logged. */
  async start(): Promise<void> {
    const { path, log } = this.#parts
    const server = createServer({ pauseOnConnect: true }, (socket) => void this.#arrived(socket))
    try {
      await rm(path, { force: true })
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, resolve)
      })
      await chmod(path, 0o600)
      this.#server = server
    } catch (error) {
      server.close()
      log.warn({ event: 'agent.unheard', err: error }, 'the sidecar cannot listen for the node agent')
    }
  }

  async stop(): Promise<void> {
    this.#server?.close()
    this.#caller?.talk.close('the sidecar ends')
    clearTimeout(this.#forgetting)
  }

  async grow(container: string, limitBytes: number, deadlineMs: number): Promise<Growth> {
    const { talk, hello } = this.#caller ?? {}
    if (talk === undefined || hello === undefined)
      return { outcome: 'refused', why: 'no node agent is there' }
    const reply = await talk.ask('grow', { container, limitBytes, deadlineMs }, deadlineMs)
    return reply.ok ? { outcome: 'accepted' } : { outcome: 'refused', why: reply.why }
  }

  async #arrived(socket: Socket): Promise<void> {
    const { peerPidsOf, log } = this.#parts
    socket.on('error', () => socket.destroy())
    if (this.#unknown >= mostUnknown) return void socket.destroy()
    this.#unknown++
    const [pid] = await peerPidsOf([socket]).catch(() => [-1])
    this.#unknown--
    if (socket.destroyed) return
    if (pid === 0) return this.#talk(socket)
    socket.destroy()
    log.warn(
      { event: 'agent.stranger', peer: pid },
      'a process of the pod called in the place of the node agent',
    )
  }

  #talk(socket: Socket): void {
    const talk: Talk = new Talk({
      socket,
      silenceMs,
      serve: (verb, body) => this.#serve(talk, verb, body),
      closed: (why) => this.#closed(talk, why),
    })
    // A node has one agent: a second one is its next life.
    const before = this.#caller
    this.#caller = { talk, hello: undefined, protocol: 0 }
    before?.talk.close('another agent has called')
    if (before?.hello !== undefined) this.#missed('another agent has called')
  }

  async #serve(talk: Talk, verb: string, body: Body): Promise<Body> {
    const caller = this.#caller
    if (caller?.talk !== talk) throw new Error('another agent has called')
    if (verb === 'hello') return this.#greet(caller, body)
    if (caller.hello === undefined) throw new Error('the first question is hello')
    if (verb === 'ping') return {}
    if (verb === 'disruptions') return this.#hear(body)
    throw new Error(`${JSON.stringify(verb)} is no question of this version`)
  }

  #greet(caller: Caller, body: Body): Body {
    const { podUid, version, log } = this.#parts
    const hello = parseHello(body)
    if (hello === undefined) throw new Error('hello is {protocols, podUid, agent, node}')
    if (hello.podUid !== podUid) throw new Error(`this is the pod ${podUid}`)
    const protocol = commonProtocol(hello.protocols)
    if (protocol === undefined) throw new Error(`no common protocol with ${hello.protocols.join(', ')}`)
    caller.hello = hello
    caller.protocol = protocol
    // After the answer to this question.
    setImmediate(() => void this.#report())
    clearTimeout(this.#forgetting)
    log.info({ event: 'agent.called', agent: hello.agent, protocol }, 'the node agent has called')
    return { protocol, sidecar: version }
  }

  #hear(body: Body): Body {
    const { hear, book } = this.#parts
    const disruptions = parseDisruptions(body)
    if (disruptions === undefined)
      throw new Error('disruptions is a list of {id, fact, name?, deadlineMs?, detail}')
    const { known, unknown } = disruptions
    book.answered(agentSource, Date.now())
    hear(
      agentSource,
      known.flatMap((one) => noticeOf(one) ?? []),
    )
    return { unknown }
  }

  /** Everything that the agent has not heard, and all checkpoints that stand. Also after a change while one is under way. */
  async #report(): Promise<void> {
    const { events } = this.#parts
    if (this.#isReporting) return
    this.#isReporting = true
    try {
      for (let told = nothing; ;) {
        const { talk, protocol = 0 } = this.#caller ?? {}
        const { report } = events
        const text = JSON.stringify(report)
        if (talk === undefined || protocol < reportingSince || text === told) return
        const reply = await talk.ask('report', report, reportMs)
        // To another agent, all of it is told anew.
        if (!reply.ok && this.#caller?.talk === talk) return
        if (reply.ok) events.told(report.events)
        told = reply.ok ? JSON.stringify({ ...report, events: [] }) : nothing
      }
    } finally {
      this.#isReporting = false
    }
  }

  #closed(talk: Talk, why: string): void {
    if (this.#caller?.talk !== talk) return
    const { hello } = this.#caller
    this.#caller = undefined
    if (hello !== undefined) this.#missed(why)
    else this.#parts.log.debug({ event: 'agent.away', why }, 'a call of the node agent ended early')
  }

  /** What it announced stands until another one greets, or for a while. */
  #missed(why: string): void {
    const { hear, book, log } = this.#parts
    book.off(agentSource)
    log.info({ event: 'agent.away', why }, 'the node agent is away')
    clearTimeout(this.#forgetting)
    this.#forgetting = setTimeout(() => hear(agentSource, []), this.#parts.forgetMs ?? forgetMs).unref()
  }
}
