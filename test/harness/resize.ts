/**
 * An in-place resize as the kubelet does it (KEP-1287). What counts is what the pod requests, not its limit: it is infeasible where that alone is more
 * than the node has for pods, and deferred while it does not fit beside what the others request (pkg/kubelet/allocation/allocation_manager.go,
 * canAdmitPod; up to Kubernetes 1.35 canResizePod). The API has accepted it all the same: both show in the pod's condition PodResizePending
 * only. What is deferred is tried again when another pod has gone or was resized (RetryPendingResizes; not so here: and every 3 min).
 * What fits the runtime is told (UpdateContainerResources, which runc carries out), and the container runs on.
 */
import { readFileSync } from 'node:fs'
import type { ContainerSpec, PodSpec } from './manifest.ts'
import { parseQuantity } from './quantity.ts'

/** The condition's reason Infeasible. */
export class ResizeInfeasible extends Error {}

export type ResizeOutcome = 'in force' | 'deferred'

type Pending = { uid: string; container: string; limitBytes: number; apply: () => Promise<void> }

/** What the pods of a node request of its memory. */
export class Allocations {
  readonly #allocatableBytes: number
  readonly #pods = new Map<string, PodSpec>()
  #pending: Pending[] = []

  /** @param allocatableBytes the whole machine's memory unless it is given */
  constructor(allocatableBytes?: number) {
    this.#allocatableBytes = allocatableBytes ?? machineBytes()
  }

  add(uid: string, spec: PodSpec): void {
    this.#pods.set(uid, structuredClone(spec))
  }

  /** Resolves when what had to wait for it has been tried again. */
  async remove(uid: string): Promise<void> {
    this.#pods.delete(uid)
    this.#pending = this.#pending.filter((pending) => pending.uid !== uid)
    await this.#retry()
  }

  /**
   * @param apply tells the runtime, now or later
   * @throws ResizeInfeasible
   */
  async resize(wish: Pending): Promise<ResizeOutcome> {
    // A pod has one wish, the newest.
    this.#pending = this.#pending.filter(({ uid, container }) => uid !== wish.uid || container !== wish.container) // prettier-ignore
    const outcome = await this.#try(wish)
    if (outcome === 'deferred') this.#pending.push(wish)
    else await this.#retry()
    return outcome
  }

  async #retry(): Promise<void> {
    for (const wish of this.#pending.slice()) {
      // Its container may have ended meanwhile, and nobody waits for an answer any more.
      if ((await this.#try(wish).catch(() => undefined)) === 'deferred') continue
      this.#pending = this.#pending.filter((pending) => pending !== wish)
    }
  }

  async #try({ uid, container, limitBytes, apply }: Pending): Promise<ResizeOutcome> {
    const spec = this.#pods.get(uid)
    if (spec === undefined) throw new Error(`pod ${uid} is not on this node`)
    const wanted = resized(spec, container, limitBytes)
    const requested = podRequestBytes(wanted)
    const capacity = this.#allocatableBytes
    if (requested > capacity)
      throw new ResizeInfeasible(`Node didn't have enough capacity: memory, requested: ${requested}, capacity: ${capacity}`) // prettier-ignore
    const others = [...this.#pods].filter(([other]) => other !== uid)
    const used = others.reduce((sum, [, other]) => sum + podRequestBytes(other), 0)
    if (requested > podRequestBytes(spec) && used + requested > capacity) return 'deferred'
    this.#pods.set(uid, wanted)
    await apply()
    return 'in force'
  }
}

/** A request that is as large as the limit, or was never given, stays so: else the pod would lose its QoS class, which a resize must not change. */
export function resized(spec: PodSpec, container: string, limitBytes: number): PodSpec {
  const after = structuredClone(spec)
  for (const each of [...(after.initContainers ?? []), ...after.containers]) {
    if (each.name !== container) continue
    const { requests = {}, limits = {} } = each.resources ?? {}
    const follows = requests.memory === undefined || requestBytes(each) === parseQuantity(limits.memory ?? 0)
    each.resources = {
      limits: { ...limits, memory: limitBytes },
      requests: follows ? { ...requests, memory: limitBytes } : requests,
    }
  }
  return after
}

/** component-helpers/resource/helpers.go, PodRequests: sidecars count beside everything that starts after them. */
export function podRequestBytes(spec: PodSpec): number {
  let sidecars = 0
  let most = 0
  for (const init of spec.initContainers ?? []) {
    if (init.restartPolicy === 'Always') sidecars += requestBytes(init)
    else most = Math.max(most, sidecars + requestBytes(init))
  }
  const mains = spec.containers.reduce((sum, container) => sum + requestBytes(container), 0)
  return Math.max(most, sidecars + mains)
}

/** A request that is not given is the limit (pkg/apis/core/v1/defaults.go, SetDefaults_Pod). */
function requestBytes({ resources }: ContainerSpec): number {
  return parseQuantity(resources?.requests?.memory ?? resources?.limits?.memory ?? 0)
}

function machineBytes(): number {
  return Number(/^MemTotal:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024
}
