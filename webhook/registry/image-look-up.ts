/**
 * Looks up the entrypoint of an image in its registry and remembers it. All pods that wait for an image share one look-up. The number of look-ups
 * at a time is bounded: beyond it, and after the budget, the answer is that the entrypoint is unknown.
 */
import { createHash } from 'node:crypto'
import type { EntrypointConfig } from '../../src/config.ts'
import { describeError, ReprieveError } from '../../src/errors.ts'
import type { EventLog } from '../../src/log.ts'
import type { Entrypoint } from '../entrypoints.ts'
import { withinDeadline } from '../within-deadline.ts'
import { BoundedCache } from '../bounded-cache.ts'
import type { Credential, StoredCredential } from './docker-config.ts'
import { credentialsFor } from './keyring.ts'
import { readImageConfig, readManifest, type ImageCommand } from './manifest.ts'
import { chooseImage } from './platform.ts'
import { parseReference, type ImageReference } from './reference.ts'
import { Repository } from './repository.ts'
import { sourcesOf, type Source } from './sources.ts'
import type { Transport } from './transport.ts'

export type Wanted = { image: string; architecture: string; stored: readonly StoredCredential[] }

export type LookUpParts = {
  config: Pick<EntrypointConfig, 'budgetMs' | 'mirrors' | 'plainHttp'>
  transport: Transport
  log: EventLog
  now?: () => number
}

/** How long an answer is believed. A tag can be moved at any time, a digest never; a failure may be mended at once. */
const believed = { tagMs: 60_000, digestMs: 600_000, failureMs: 10_000, mostFailureMs: 300_000 }
const mostAnswers = 1000
/** For what was seen before, whether it is still so is a question without an answer's weight. */
const rememberedMs = 86_400_000
/** Each may hold an answer of a mebibyte, and what is parsed of it. */
const mostFlights = 16
/** An index may name indexes. */
const mostIndexes = 3

type Flight = Promise<Entrypoint>
/** `key`: under which its answer is remembered. */
type Question = { key: string; reference: ImageReference; architecture: string }

export class ImageLookUp {
  readonly #parts: LookUpParts
  readonly #now: () => number
  readonly #flights = new Map<string, Flight>()
  /** By image, architecture and credentials: a pod whose credentials do not show an image learns nothing from other pods. */
  readonly #answers: BoundedCache<Entrypoint>
  readonly #lastDigests: BoundedCache<string>
  /** By digest: content that was verified. */
  readonly #commands: BoundedCache<ImageCommand>

  constructor(parts: LookUpParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    this.#answers = new BoundedCache(mostAnswers, this.#now)
    this.#lastDigests = new BoundedCache(mostAnswers, this.#now)
    this.#commands = new BoundedCache(mostAnswers, this.#now)
  }

  /** @param waitMs of this caller; the request goes on without it, for the next caller */
  async find({ image, architecture, stored }: Wanted, waitMs: number): Flight {
    const reference = parseReference(image)
    if (reference === undefined)
      return { known: false, why: 'its name is not that of an image', fault: 'owner' }
    const sources = sourcesOf(reference, this.#parts.config)
    const credentials = sources.map(({ name }) => credentialsFor(name, stored))
    const access = JSON.stringify(credentials)
    const key = `${reference.domain}/${reference.repository} ${reference.target} ${architecture} ${hashed(access)}`
    const answer = this.#answers.get(key)
    if (answer !== undefined) return answer
    let flight = this.#flights.get(key)
    if (flight === undefined) {
      if (this.#flights.size >= mostFlights)
        return { known: false, why: 'too many images are being looked up at once', fault: 'elsewhere' }
      flight = this.#fly({ key, reference, architecture }, sources, credentials).finally(() =>
        this.#flights.delete(key),
      )
      this.#flights.set(key, flight)
    }
    const asked = flight
    return withinDeadline(
      waitMs,
      () => asked,
      () => late,
    )
  }

  async #fly(question: Question, sources: Source[], credentials: Credential[][]): Flight {
    const { key, reference, architecture } = question
    const begun = this.#now()
    const failures: unknown[] = []
    for (const [index, source] of sources.entries()) {
      const leftMs = begun + this.#parts.config.budgetMs - this.#now()
      // A mirror that hangs leaves the others their share.
      const signal = AbortSignal.timeout(Math.max(1, Math.round(leftMs / (sources.length - index))))
      try {
        const repository = new Repository({
          origin: source.origin,
          name: source.repository,
          credentials: credentials[index] ?? [],
          transport: this.#parts.transport,
          signal,
        })
        const place = `${source.origin}/${source.repository} ${architecture}`
        const command = await this.#ask(repository, question, place)
        const entrypoint: Entrypoint = { known: true, command }
        this.#answers.set(key, entrypoint, reference.byDigest ? believed.digestMs : believed.tagMs)
        this.#tell(reference, begun, { origin: source.origin })
        return entrypoint
      } catch (error) {
        failures.push(error)
      }
    }
    const why = failures.map(describeError).join('; ')
    // The last one asked is the registry itself.
    const answer: Entrypoint = { known: false, why, fault: faultOf(failures.at(-1)) }
    this.#answers.set(key, answer, Math.max(...failures.map(forgottenAfterMs)))
    this.#tell(reference, begun, { error: why })
    return answer
  }

  /** @param place where what has a digest is remembered by it */
  async #ask(
    repository: Repository,
    { key, reference, architecture }: Question,
    place: string,
  ): Promise<ImageCommand> {
    const { target, byDigest } = reference
    const last = byDigest ? target : this.#lastDigests.get(key)
    const kept = last === undefined ? undefined : this.#commands.get(`${place} ${last}`)
    // Without a body, so that it counts towards no limit of pulls; and it shows that these credentials may see the image.
    if (last !== undefined && kept !== undefined && (await repository.digestOf(target)) === last) return kept
    const { digest, command } = await fetchCommand(repository, target, architecture)
    this.#commands.set(`${place} ${digest}`, command, rememberedMs)
    this.#lastDigests.set(key, digest, rememberedMs)
    return command
  }

  #tell({ domain, repository, target }: ImageReference, begun: number, more: object): void {
    const facts = {
      image: `${domain}/${repository}`,
      target,
      tookMs: Math.round(this.#now() - begun),
      ...more,
    }
    this.#parts.log.info({ event: 'image.looked_up', ...facts }, 'looked an image up')
  }
}

async function fetchCommand(
  repository: Repository,
  target: string,
  architecture: string,
): Promise<{ digest: string; command: ImageCommand }> {
  const first = await repository.manifest(target)
  let found = first
  for (let depth = 0; depth <= mostIndexes; depth++) {
    const manifest = readManifest(found.bytes, found.contentType)
    if (manifest.kind === 'unusable') throw unusable(manifest.why)
    if (manifest.kind === 'image') {
      const config = readImageConfig(await repository.blob(manifest.config.digest))
      if (!config.usable) throw unusable(config.why)
      return { digest: first.digest, command: config.command }
    }
    const chosen = chooseImage(manifest.manifests, architecture)
    if (chosen === undefined) throw unusable(`it has no image for linux/${architecture}`)
    found = await repository.manifest(chosen.digest)
  }
  throw unusable(`its index names indexes more than ${mostIndexes} deep`)
}

function unusable(why: string): ReprieveError {
  return new ReprieveError('registry-failed', why)
}

function faultOf(error: unknown): 'owner' | 'elsewhere' {
  // An error that the registry did not cause is our own.
  return error instanceof ReprieveError && error.data.fault !== 'elsewhere' ? 'owner' : 'elsewhere'
}

function forgottenAfterMs(error: unknown): number {
  const asked = error instanceof ReprieveError ? error.data.retryAfterMs : undefined
  return typeof asked === 'number'
    ? Math.min(Math.max(asked, believed.failureMs), believed.mostFailureMs)
    : believed.failureMs
}

const late: Entrypoint = { known: false, why: 'its registry did not answer in time', fault: 'elsewhere' }

function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
