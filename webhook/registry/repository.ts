/**
 * One repository of one registry, asked by the distribution protocol. All content that has a digest is compared with it.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
 */
import { createHash } from 'node:crypto'
import { ReprieveError } from '../../src/errors.ts'
import { at, listAt } from '../json-path.ts'
import { authorizationFor, faultOf } from './authorization.ts'
import { parseChallenges, type Challenge } from './challenge.ts'
import type { Credential } from './docker-config.ts'
import { manifestTypes } from './manifest.ts'
import { digestForm } from './reference.ts'
import type { Answer, Transport } from './transport.ts'

export type RepositoryParts = {
  /** `https://registry-1.docker.io`. */
  origin: string
  name: string
  /** Tried in turn, as the kubelet does; without any, the request is anonymous. */
  credentials: readonly Credential[]
  transport: Transport
  signal: AbortSignal
}

export type FoundManifest = { digest: string; contentType: string; bytes: Buffer }

/** Of a manifest or a configuration: more than ten times the largest known ones. */
const mostBytes = 1024 * 1024
/** A pod may bring many secrets, and each costs the registry a request. */
const mostCredentials = 8
/** The statuses with which a registry refuses credentials that do not fit the repository. */
const refusals = new Set([401, 403, 404])

export class Repository {
  readonly #parts: RepositoryParts
  readonly #untried: (Credential | undefined)[]
  #challenges: Challenge[] = []
  #authorization: string | undefined

  constructor(parts: RepositoryParts) {
    this.#parts = parts
    this.#untried = parts.credentials.length === 0 ? [undefined] : parts.credentials.slice(0, mostCredentials)
  }

  /** @param target a tag or a digest @throws ReprieveError `registry-failed` */
  async manifest(target: string): Promise<FoundManifest> {
    const answer = await this.#ask('GET', `manifests/${target}`, manifestTypes.join(', '))
    const bytes = answer.body
    // Not the header's: a server may say there what it likes.
    const digest = digestForm.test(target) ? target : digestOf('sha256', bytes)
    verify(bytes, digest)
    return { digest, contentType: answer.headers['content-type'] ?? '', bytes }
  }

  /** The digest that the tag names now, without its content; undefined where the registry does not tell it. */
  async digestOf(target: string): Promise<string | undefined> {
    const answer = await this.#ask('HEAD', `manifests/${target}`, manifestTypes.join(', '), [200, 405])
    const digest = answer.headers['docker-content-digest']
    return typeof digest === 'string' && digestForm.test(digest) ? digest : undefined
  }

  async blob(digest: string): Promise<Buffer> {
    const { body } = await this.#ask('GET', `blobs/${digest}`, '*/*')
    verify(body, digest)
    return body
  }

  async #ask(method: 'GET' | 'HEAD', path: string, accept: string, wanted = [200]): Promise<Answer> {
    const { origin, name, transport, signal } = this.#parts
    const url = new URL(`${origin}/v2/${name}/${path}`)
    const send = () => {
      const headers: Record<string, string> = { accept }
      if (this.#authorization !== undefined) headers.authorization = this.#authorization
      return transport({ method, url, headers, mostBytes, signal })
    }
    let answer = await send()
    while (refusals.has(answer.status) && this.#untried.length > 0) {
      const asked = parseChallenges(answer.headers['www-authenticate'] ?? '')
      if (asked.length > 0) this.#challenges = asked
      // The registry asked for no credential, so none changes the answer.
      if (this.#challenges.length === 0) break
      const more = await this.#authorize()
      if (!more) break
      answer = await send()
    }
    if (wanted.includes(answer.status)) return answer
    throw refused(url, answer)
  }

  /** With the next credential that is of use. */
  async #authorize(): Promise<boolean> {
    const { name, transport, signal } = this.#parts
    let failure: unknown
    while (this.#untried.length > 0) {
      const credential = this.#untried.shift()
      try {
        this.#authorization = await authorizationFor(this.#challenges, credential, {
          repository: name,
          transport,
          signal,
        })
        if (this.#authorization !== undefined) return true
      } catch (error) {
        if (signal.aborted) throw error
        failure = error
      }
    }
    if (failure !== undefined) throw failure
    return false
  }
}

function digestOf(algorithm: string, bytes: Buffer): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

function verify(bytes: Buffer, digest: string): void {
  if (digestOf(digest.split(':')[0] ?? '', bytes) !== digest)
    throw new ReprieveError(
      'registry-failed',
      `the registry gives something else for ${digest.slice(0, 19)}…`,
    )
}

const meanings: Readonly<Record<number, string>> = {
  401: 'it wants other credentials than the pod has',
  403: 'it forbids that with the credentials the pod has',
  404: 'it has no such image, or does not show it without credentials',
  429: 'it has been asked too often',
}

/** For the pod's owner: the status, our words for it, and the registry's own code, but none of its prose. */
function refused(url: URL, { status, headers, body }: Answer): ReprieveError {
  const code = errorCode(body)
  const meaning = meanings[status]
  const told = `${url.host} answers ${status}${code === undefined ? '' : ` ${code}`}${meaning === undefined ? '' : `: ${meaning}`}`
  const waitS = Number(headers['retry-after'])
  return new ReprieveError('registry-failed', told, {
    ...faultOf(status),
    ...(status === 429 && waitS > 0 ? { retryAfterMs: waitS * 1000 } : {}),
  })
}

function errorCode(body: Buffer): string | undefined {
  try {
    const code = at(listAt(at(JSON.parse(body.toString('utf8')), 'errors'))[0], 'code')
    return typeof code === 'string' && /^[A-Z_]{1,40}$/.test(code) ? code : undefined
  } catch {
    return undefined
  }
}
