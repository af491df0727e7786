/**
 * Whether API servers trust what this replica serves. A replica that they do not trust protects no pod, without any error, so it is not ready:
 * a rollout stops there while the others go on. A failed check leaves the result of the last one.
 */
import { X509Certificate } from 'node:crypto'
import { describeError } from '../src/errors.ts'
import type { Registry } from 'prom-client'
import type { KubeApi } from '../src/kube-api.ts'
import type { EventLog } from '../src/log.ts'
import { gauge } from './gauges.ts'
import { whyNotTaken } from './handshake.ts'
import { readLiveTrust, type LiveEntry } from './live-trust.ts'
import { passed, type CertificatePair } from './serving-certificate.ts'

export type TrustParts = {
  /** Undefined outside a cluster: there is no API server to read from, and the replica is ready. */
  api: KubeApi | undefined
  /** The name of both webhook configurations. */
  configuration: string
  log: EventLog
  registry: Registry
}

/** @property soonMs until it is trusted @property everyMs afterwards */
export type TrustTimes = { soonMs: number; everyMs: number }

const defaultTimes: TrustTimes = { soonMs: 1000, everyMs: 10_000 }

export class Trust {
  readonly #parts: TrustParts
  /** The entries that were read last. */
  #entries: LiveEntry[] | undefined
  #readProblem: string | undefined
  #why: string | undefined = 'the served certificate has not been verified yet'
  #verifiedAtSeconds = 0
  #expiresAtSeconds: number | undefined
  #turn: Promise<void> = Promise.resolve()

  constructor(parts: TrustParts) {
    this.#parts = parts
    if (parts.api === undefined) return
    gauge(parts.registry, {
      name: 'reprieve_serving_certificate_trusted',
      help: 'Whether the served certificate verified against every live caBundle when that was last found out.',
      read: () => (this.#why === undefined ? 1 : 0),
    })
    gauge(parts.registry, {
      name: 'reprieve_serving_certificate_verified_timestamp_seconds',
      help: 'When it last did so; 0 if never.',
      read: () => this.#verifiedAtSeconds,
    })
  }

  /** The pair that new connections get from now on. */
  serves({ cert }: CertificatePair): void {
    const isFirst = this.#expiresAtSeconds === undefined
    this.#expiresAtSeconds = Math.floor(new X509Certificate(cert).validToDate.getTime() / 1000)
    if (isFirst)
      gauge(this.#parts.registry, {
        name: 'reprieve_serving_certificate_expiry_timestamp_seconds',
        help: 'When the certificate that new connections get expires.',
        read: () => this.#expiresAtSeconds ?? 0,
      })
  }

  /** Undefined: ready, as far as trust goes. */
  whyNot(): string | undefined {
    if (this.#parts.api === undefined || this.#why === undefined) return undefined
    return this.#readProblem === undefined ? this.#why : `${this.#why}; ${this.#readProblem}`
  }

  /**
   * Why a pair should not be served yet: the API servers do not trust it, and they do trust the pair that is served. Undefined where the pair
   * should be served, or where the configurations cannot be read.
   */
  async whyNotYet(pair: CertificatePair): Promise<string | undefined> {
    if (this.#parts.api === undefined) return undefined
    await this.#inTurn(() => this.#read())
    if (this.#why !== undefined || this.#entries === undefined) return undefined
    return this.#problemOf({ pair }, this.#entries)
  }

  /** Makes a TLS handshake with this replica, as an API server does. */
  async verify(address: { host: string; port: number }): Promise<void> {
    if (this.#parts.api === undefined) return
    await this.#inTurn(async () => {
      await this.#read()
      if (this.#entries === undefined) return
      this.#conclude(await this.#problemOf(address, this.#entries))
    })
  }

  /** Ends when the signal aborts. */
  async keepVerified(
    address: { host: string; port: number },
    signal: AbortSignal,
    { soonMs, everyMs }: TrustTimes = defaultTimes,
  ): Promise<void> {
    if (this.#parts.api === undefined) return
    do await this.verify(address)
    while (await passed(this.#why === undefined ? everyMs : soonMs, signal))
  }

  async #read(): Promise<void> {
    const { api, configuration, log } = this.#parts
    if (api === undefined) return
    try {
      this.#entries = await readLiveTrust(api, configuration)
      this.#readProblem = undefined
    } catch (error) {
      const problem = `what API servers trust cannot be read: ${describeError(error)}`
      if (problem !== this.#readProblem)
        log.warn(
          { event: 'trust.unread', error: describeError(error) },
          'could not read what API servers trust',
        )
      this.#readProblem = problem
    }
  }

  async #problemOf(
    where: { host: string; port: number } | { pair: CertificatePair },
    entries: LiveEntry[],
  ): Promise<string | undefined> {
    if (entries.length === 0) return `no webhook configuration ${this.#parts.configuration} has an entry`
    // Entries have the same bundle and host as a rule.
    const asked = Map.groupBy(entries, ({ host, caBundle }) => `${host} ${caBundle}`)
    const problems = await Promise.all(
      [...asked.values()].map(async ([first, ...others]) => {
        if (first === undefined) return []
        const why = await whyNotTaken(where, first)
        if (why === undefined) return []
        const names = [first, ...others].map(({ name }) => name).join(', ')
        return [`${names}: ${first.caBundle === '' ? `no caBundle, and ${why}` : why}`]
      }),
    )
    return problems.flat().length === 0
      ? undefined
      : `API servers would not trust the certificate: ${problems.flat().join('; ')}`
  }

  #conclude(why: string | undefined): void {
    const { log } = this.#parts
    const before = this.#why
    this.#why = why
    if (why === undefined) {
      this.#verifiedAtSeconds = Math.floor(Date.now() / 1000)
      if (before !== undefined)
        log.info({ event: 'trust.established' }, 'API servers trust the served certificate')
    } else if (why !== before)
      log.error({ event: 'trust.missing', why }, 'API servers do not trust the served certificate')
  }

  /** One after the other: a verdict must not be overtaken by an older one. */
  #inTurn(act: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(act).catch((error: unknown) => {
      this.#parts.log.error(
        { event: 'trust.unverified', error: describeError(error) },
        'could not verify the served certificate',
      )
    })
    return this.#turn
  }
}
