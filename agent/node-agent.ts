/** The agent of one node: watches its pods and the node itself, and keeps a conversation with the sidecar of each protected pod. */
import type { Socket } from 'node:net'
import { parseReport } from '../src/agent/report.ts'
import { parseGrowWish, type GrowWish } from '../src/agent/protocol.ts'
import type { Body } from '../src/agent/talk.ts'
import type { EventLog } from '../src/log.ts'
import { disruptionsOf } from './disruptions.ts'
import type { Kube } from './kube.ts'
import type { AgentMetrics } from './metrics.ts'
import { PodLink } from './pod-link.ts'
import { PodReporter } from './pod-reporter.ts'
import { readNode, readPod, type NodeView, type PodView } from './pod-view.ts'
import { grow } from './resizer.ts'
import { WatchedList, type WatchedListParts } from './watched-list.ts'

export type NodeAgentParts = {
  node: string
  version: string
  kube: Kube
  call: (uid: string) => Promise<Socket>
  metrics: AgentMetrics
  log: EventLog
  /** For tests. */
  pausesMs?: WatchedListParts<unknown>['pausesMs']
  writePauseMs?: number
}

export class NodeAgent {
  readonly #parts: NodeAgentParts
  readonly #pods: WatchedList<PodView>
  readonly #node: WatchedList<NodeView>
  readonly #links = new Map<string, PodLink>()
  readonly #reporters = new Map<string, PodReporter>()
  /** The wishes that are under way, by pod and container. */
  readonly #growing = new Map<string, { limitBytes: number; answer: Promise<Body> }>()

  constructor(parts: NodeAgentParts) {
    this.#parts = parts
    const { kube, node, metrics, log, pausesMs } = parts
    const usual = { kube, log, ...(pausesMs === undefined ? {} : { pausesMs }) }
    this.#pods = new WatchedList({
      ...usual,
      watched: { kind: 'pods', fieldSelector: `spec.nodeName=${node}` },
      read: readPod,
      changed: (pod) => this.#changed(pod),
      keyOf: ({ uid }) => uid,
      restarted: (why) => metrics.watchRestarted('pods', why),
    })
    this.#node = new WatchedList({
      ...usual,
      watched: { kind: 'nodes', fieldSelector: `metadata.name=${node}` },
      read: readNode,
      changed: () => this.#changed(),
      keyOf: ({ name }) => name,
      restarted: (why) => metrics.watchRestarted('nodes', why),
    })
  }

  /** Resolves when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#pods.run(signal), this.#node.run(signal)])
    for (const uid of this.#links.keys()) this.#leave(uid)
  }

  /** Undefined where it is ready. */
  get whyNotReady(): string | undefined {
    if (!this.#pods.isListed) return 'the pods of the node were not listed yet'
    return this.#node.isListed ? undefined : 'the node was not read yet'
  }

  get counts(): { protected: number; reached: number } {
    const links = [...this.#links.values()]
    return { protected: links.length, reached: links.filter(({ isOpen }) => isOpen).length }
  }

  #changed(changed?: PodView): void {
    const node = this.#node.items.get(this.#parts.node)
    const isThere = (uid: string) => {
      const pod = this.#pods.items.get(uid)
      return pod?.mayGrowTo !== undefined && !pod.hasEnded
    }
    for (const uid of this.#links.keys()) if (!isThere(uid)) this.#leave(uid)
    for (const pod of this.#pods.items.values()) {
      if (!isThere(pod.uid)) continue
      const link = this.#links.get(pod.uid) ?? this.#linkTo(pod)
      link.tell(disruptionsOf(pod, node))
    }
    // Its sidecar may have started.
    if (changed !== undefined) this.#links.get(changed.uid)?.hurry()
  }

  #leave(uid: string): void {
    this.#links.get(uid)?.stop()
    this.#links.delete(uid)
    this.#reporters.get(uid)?.stop()
    this.#reporters.delete(uid)
  }

  #linkTo({ uid, namespace, name }: PodView): PodLink {
    const { version, node, call, log } = this.#parts
    const link = new PodLink({
      pod: { uid, namespace, name },
      agent: { version, node },
      call,
      serve: (verb, body) => this.#serve(uid, verb, body),
      log: log.child({ namespace, pod: name }),
    })
    this.#links.set(uid, link)
    return link
  }

  async #serve(uid: string, verb: string, body: Body): Promise<Body> {
    if (verb === 'report') return this.#heard(uid, body)
    if (verb !== 'grow') throw new Error(`${JSON.stringify(verb)} is no question of this version`)
    const wish = parseGrowWish(body)
    if (wish === undefined) throw new Error('grow is {container, limitBytes, deadlineMs}')
    const key = `${uid} ${wish.container}`
    const underWay = this.#growing.get(key)
    // Asked again by the next life of the sidecar.
    if (underWay?.limitBytes === wish.limitBytes) return underWay.answer
    if (underWay !== undefined) throw new Error('another wish for this container is under way')
    const answer = this.#grow(uid, wish).finally(() => this.#growing.delete(key))
    this.#growing.set(key, { limitBytes: wish.limitBytes, answer })
    return answer
  }

  #heard(uid: string, body: Body): Body {
    const report = parseReport(body)
    if (report === undefined)
      throw new Error('report is {events: [{reason, container, code, detail}], checkpoints: [{container, id, atMs}]}') // prettier-ignore
    // A pod that is gone has asked by a connection that is about to close.
    if (!this.#links.has(uid)) throw new Error('the pod is gone')
    const reporter = this.#reporters.get(uid) ?? this.#reporterOf(uid)
    reporter.hear(report)
    return {}
  }

  #reporterOf(uid: string): PodReporter {
    const { kube, node, metrics, log, writePauseMs } = this.#parts
    const pod = () => this.#pods.items.get(uid)
    const about = { namespace: pod()?.namespace, pod: pod()?.name }
    const own = writePauseMs === undefined ? {} : { pauseMs: writePauseMs }
    const reporter = new PodReporter({ kube, pod, node, metrics, log: log.child(about), ...own })
    this.#reporters.set(uid, reporter)
    return reporter
  }

  #grow(uid: string, wish: GrowWish): Promise<Body> {
    const { kube, metrics, log } = this.#parts
    const pod = () => this.#pods.items.get(uid)
    const about = { namespace: pod()?.namespace, pod: pod()?.name }
    return grow({ kube, pod, counted: (outcome) => metrics.resized(outcome), log: log.child(about) }, wish)
  }
}
