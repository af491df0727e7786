/**
 * Whose turn it is: a coordination.k8s.io Lease, held as client-go's leader election holds one. Another's lease is over when it has not
 * changed for its duration on our own monotonic clock, since clocks of nodes differ; every write says which version it replaces.
 * A lease is no lock: whoever was paused may still write after it, so the writes themselves name the version they replace as well.
 * https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
 */
import type { KubeAnswer, KubeApi } from '../src/kube-api.ts'
import { refused } from './refused.ts'

export type LeaseName = { namespace: string; name: string }

export type Hold =
  | { held: true; since: 'now' | 'before' }
  /** `by`: empty where several were after it at once. */
  | { held: false; by: string }

export type LeaseOptions = LeaseName & {
  api: KubeApi
  /** Of this process and no other. */
  identity: string
  /** Whole seconds. */
  durationMs?: number
  /** How much of it must be left for what is done next: a request's time-out at least. */
  marginMs?: number
  /** Monotonic milliseconds. */
  clock?: () => number
}

type Spec = {
  holderIdentity?: string
  leaseDurationSeconds?: number
  acquireTime?: string
  renewTime?: string
  leaseTransitions?: number
}
type Stored = { metadata?: { resourceVersion?: string }; spec?: Spec }

// @deadline `reprieve-certs` dies while it rotates certificates | Its replacement continues from there
export const leaseDurationMs = 15_000
export const leaseMarginMs = 6_000

export class Lease {
  readonly #options: Required<LeaseOptions>
  #heldUntil = -Infinity
  #observed: { version: string; at: number } | undefined

  constructor(options: LeaseOptions) {
    this.#options = {
      durationMs: leaseDurationMs,
      marginMs: leaseMarginMs,
      clock: () => performance.now(),
      ...options,
    }
  }

  /** Takes or renews it if that is possible just now. @throws ReprieveError when the API server refuses */
  async hold(): Promise<Hold> {
    const { clock, marginMs, identity, api } = this.#options
    const heldBefore = clock() < this.#heldUntil
    if (clock() + marginMs < this.#heldUntil) return { held: true, since: 'before' }
    const found = await api('GET', this.#path())
    if (found.status === 404) return this.#write('POST', found, {}, false)
    if (found.status !== 200) throw refused('read the Lease', this.#options.name, found)
    const { metadata = {}, spec = {} } = (found.body ?? {}) as Stored
    const holder = spec.holderIdentity ?? ''
    if (holder === identity) return this.#write('PUT', found, spec, heldBefore)
    if (holder !== '' && !this.#isOver(metadata.resourceVersion ?? '', spec))
      return { held: false, by: holder }
    return this.#write('PUT', found, spec, false)
  }

  /** Lets others have it at once. A failure does not matter: the lease runs out by itself. */
  async release(): Promise<void> {
    if (this.#options.clock() >= this.#heldUntil) return
    this.#heldUntil = -Infinity
    try {
      const found = await this.#options.api('GET', this.#path())
      const { spec = {} } = (found.body ?? {}) as Stored
      if (found.status === 200 && spec.holderIdentity === this.#options.identity)
        await this.#options.api('PUT', this.#path(), this.#object(found, { ...spec, holderIdentity: '' }))
    } catch {
      // As if this process had been killed.
    }
  }

  #isOver(version: string, spec: Spec): boolean {
    const now = this.#options.clock()
    if (this.#observed?.version !== version) this.#observed = { version, at: now }
    const durationMs = (spec.leaseDurationSeconds ?? this.#options.durationMs / 1000) * 1000
    return now - this.#observed.at >= durationMs
  }

  async #write(method: 'POST' | 'PUT', found: KubeAnswer, before: Spec, heldBefore: boolean): Promise<Hold> {
    const { api, identity, durationMs, clock, name } = this.#options
    // From before the request: nobody else counts from earlier.
    const heldUntil = clock() + durationMs
    // For people only, and not the API server's clock, whose seconds are whole: a renewal that changed nothing would be no new version.
    const now = microTime(new Date())
    const isRenewal = before.holderIdentity === identity
    const spec: Spec = {
      holderIdentity: identity,
      leaseDurationSeconds: durationMs / 1000,
      acquireTime: isRenewal ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (isRenewal || method === 'POST' ? 0 : 1),
    }
    this.#heldUntil = -Infinity
    const path = method === 'POST' ? this.#folder() : this.#path()
    const written = await api(method, path, this.#object(found, spec))
    if (written.status === 409) return { held: false, by: '' }
    if (written.status !== 200 && written.status !== 201) throw refused('write the Lease', name, written)
    this.#heldUntil = heldUntil
    return { held: true, since: heldBefore ? 'before' : 'now' }
  }

  #object(found: KubeAnswer, spec: Spec): object {
    const { name, namespace } = this.#options
    const stored = found.status === 200 ? ((found.body as Stored).metadata ?? {}) : undefined
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: stored ?? { name, namespace, labels: { 'app.kubernetes.io/part-of': 'reprieve' } },
      spec,
    }
  }

  #folder(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`
  }

  #path(): string {
    return `${this.#folder()}/${this.#options.name}`
  }
}

/** With six digits and no fewer: the API server takes no other form (metav1.MicroTime). */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
