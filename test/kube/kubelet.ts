/**
 * The kubelets between an API server and a node of the harness: a pod that runs there is an object here. What is asked of the object is done to the pod
 * (deletion with its grace, a resize of its memory), and what becomes of that is written into its status.
 */
import type { Pod } from '../harness/pod.ts'
import { ResizeInfeasible } from '../harness/resize.ts'
import type { Change, KubeObject } from './objects.ts'
import type { KubeServer } from './server.ts'

const namespace = 'tests'
type Container = { name: string; resources?: { limits?: { memory?: string | number } } }
type Condition = {
  type: string
  status: string
  reason: string
  message: string
  observedGeneration?: number
}

export class Kubelet {
  readonly #server: KubeServer
  readonly #node: string
  readonly #pods = new Map<string, Pod>()
  readonly #generations = new Map<string, number>()
  readonly #stop: () => void
  /** Of pods that are being ended. */
  readonly #ending = new Map<string, Promise<unknown>>()

  constructor(server: KubeServer, node: string) {
    this.#server = server
    this.#node = node
    this.#stop = server.objects.listen((change) => this.#changed(change))
  }

  stop(): void {
    this.#stop()
  }

  /** The pod runs already; from now on the API server has it. */
  bind(pod: Pod): void {
    this.#pods.set(pod.name, pod)
    const metadata = { name: pod.name, namespace, uid: pod.uid, generation: 1, creationTimestamp: new Date().toISOString(), resourceVersion: '' } // prettier-ignore
    const spec = textQuantities({ ...pod.spec, nodeName: this.#node })
    this.#server.objects.put('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec,
      status: { phase: 'Running' },
    })
    void pod.ended.then(() => this.#server.objects.remove('pods', namespace, pod.name))
  }

  /** As `kubectl delete`: a timestamp first, and the object goes when the pod has. */
  async delete(pod: Pod): Promise<void> {
    const graceSeconds = pod.spec.terminationGracePeriodSeconds ?? 30
    const deletionTimestamp = new Date(Date.now() + graceSeconds * 1_000).toISOString()
    this.#put(pod.name, (object) => ({ ...object, metadata: { ...object.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds } })) // prettier-ignore
    await this.#ending.get(pod.name)
  }

  /** The condition of an eviction, a preemption or the like; undefined withdraws it. */
  disrupt(pod: Pod, reason: string | undefined): void {
    const condition = { type: 'DisruptionTarget', status: reason === undefined ? 'False' : 'True', reason: reason ?? '', message: 'as the test wants it' } // prettier-ignore
    this.#condition(pod.name, condition)
  }

  #changed({ kind, type, object }: Change): void {
    const pod = kind === 'pods' && type === 'MODIFIED' ? this.#pods.get(object.metadata.name) : undefined
    if (pod === undefined) return
    if (object.metadata.deletionTimestamp !== undefined && !this.#ending.has(pod.name))
      this.#ending.set(
        pod.name,
        pod.delete({ gracePeriodSeconds: object.metadata.deletionGracePeriodSeconds ?? 30 }),
      )
    const generation = object.metadata.generation ?? 1
    if (generation === (this.#generations.get(pod.name) ?? 1)) return
    this.#generations.set(pod.name, generation)
    void this.#resize(pod, object, generation)
  }

  async #resize(pod: Pod, { spec }: KubeObject, observedGeneration: number): Promise<void> {
    for (const { name, resources } of (spec as { containers: Container[] }).containers) {
      const limitBytes = Number(resources?.limits?.memory)
      if (!Number.isFinite(limitBytes)) continue
      const pending = { type: 'PodResizePending', status: 'True', observedGeneration }
      try {
        const outcome = await pod.resize(name, limitBytes)
        if (outcome === 'deferred')
          this.#condition(pod.name, { ...pending, reason: 'Deferred', message: "Node didn't have enough resource: memory" }) // prettier-ignore
        else this.#inForce(pod.name, name, limitBytes)
      } catch (error) {
        if (!(error instanceof ResizeInfeasible)) continue
        this.#condition(pod.name, { ...pending, reason: 'Infeasible', message: error.message })
      }
    }
  }

  #inForce(podName: string, name: string, limitBytes: number): void {
    const containerStatuses = [{ name, resources: { limits: { memory: String(limitBytes) } } }]
    this.#put(podName, (object) => ({
      ...object,
      status: { ...(object.status as object), containerStatuses },
    }))
  }

  #condition(podName: string, condition: Condition): void {
    this.#put(podName, (object) => {
      const status = object.status as { conditions?: Condition[] }
      const others = (status.conditions ?? []).filter(({ type }) => type !== condition.type)
      return { ...object, status: { ...status, conditions: [...others, condition] } }
    })
  }

  #put(name: string, change: (object: KubeObject) => KubeObject): void {
    const object = this.#server.objects.get('pods', namespace, name)
    if (object !== undefined) this.#server.objects.put('pods', change(object))
  }
}

/** The API writes quantities as texts; a request that is not given is the limit. */
function textQuantities(spec: object): Record<string, unknown> {
  const copy = structuredClone(spec) as {
    containers: { resources?: Record<string, Record<string, unknown>> }[]
  }
  for (const { resources } of copy.containers) {
    if (resources === undefined) continue
    for (const all of Object.values(resources))
      for (const name of Object.keys(all)) all[name] = String(all[name])
    const memory = resources.limits?.memory
    if (memory !== undefined) resources.requests = { memory, ...resources.requests }
  }
  return copy
}
