/**
 * The credentials that a pod brings for its images. Only the pod's own `imagePullSecrets` count, for the kubelet as well: those of
 * its service account were copied there by the API server before any webhook was asked (admission plugin ServiceAccount).
 */
import { readFile } from 'node:fs/promises'
import { describeError } from '../../src/errors.ts'
import type { KubeApi } from '../../src/kube-api.ts'
import { at } from '../json-path.ts'
import type { Pod } from '../pod.ts'
import { BoundedCache } from '../bounded-cache.ts'
import { readDockerCfg, readDockerConfigJson, type StoredCredential } from './docker-config.ts'

export type PullCredentials = {
  stored: StoredCredential[]
  /** Secrets that could not be had: the kubelet goes on without them, too. */
  problems: { text: string; fault: 'owner' | 'elsewhere' }[]
}

/** `api` is undefined outside a cluster. */
export type SecretSource = 'ignored' | { api: KubeApi | undefined }

const keptMs = 30_000
const mostKept = 200
/** A Secret may have a mebibyte; one with credentials has a few kilobytes. */
const mostBytes = 64 * 1024
/** Kubernetes does not bound how many pull secrets a pod names. */
const mostSecrets = 10
const objectName = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

/** A problem that only the owner of the pod can fix. Every other failure has another cause. */
class OwnersFault extends Error {}

export class PullSecrets {
  readonly #from: SecretSource
  readonly #file: string | undefined
  readonly #kept: BoundedCache<Promise<StoredCredential[]>>

  /**
   * @param file the administrator's: docker's config.json, for pods that bring no credentials of their own
   */
  constructor(from: SecretSource, file?: string, now: () => number = () => performance.now()) {
    this.#from = from
    this.#file = file
    this.#kept = new BoundedCache(mostKept, now)
  }

  async of(pod: Pod, namespace: string): Promise<PullCredentials> {
    const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []))
    const problems: PullCredentials['problems'] = []
    if (names.length > mostSecrets)
      problems.push({ text: `only ${mostSecrets} of its pull secrets are read`, fault: 'owner' })
    const read = await Promise.all(
      [...new Set(names.slice(0, mostSecrets))].map(async (name) => {
        try {
          return await this.#remembered(`${namespace}/${name}`, () => this.#fetch(namespace, name))
        } catch (error) {
          const fault = error instanceof OwnersFault ? 'owner' : 'elsewhere'
          problems.push({ text: `pull secret ${name} cannot be read: ${describeError(error)}`, fault })
          return []
        }
      }),
    )
    const usual = await this.#usual().catch((error: unknown) => {
      const text = `the configured credentials cannot be read: ${describeError(error)}`
      problems.push({ text, fault: 'elsewhere' })
      return []
    })
    return { stored: [...read.flat(), ...usual], problems }
  }

  async #usual(): Promise<StoredCredential[]> {
    const file = this.#file
    if (file === undefined) return []
    // A mounted Secret changes while the process runs.
    return this.#remembered('the configured file', async () =>
      readDockerConfigJson(await readFile(file, 'utf8')),
    )
  }

  #remembered(key: string, read: () => Promise<StoredCredential[]>): Promise<StoredCredential[]> {
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const reading = read()
    this.#kept.set(key, reading, keptMs)
    // A failure is for its owner to mend, and not to be remembered.
    reading.catch(() => this.#kept.set(key, reading, 0))
    return reading
  }

  async #fetch(namespace: string, name: string): Promise<StoredCredential[]> {
    // No fault of the owner: the pod starts, unprotected if its image is not to be seen otherwise.
    if (this.#from === 'ignored') throw new Error('the webhook reads none (entrypoints.pullSecrets)')
    const { api } = this.#from
    if (api === undefined) throw new Error('there is no API server')
    if (!objectName.test(name) || !objectName.test(namespace)) throw new OwnersFault('its name is not valid')
    const { status, body } = await api('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`)
    if (status === 404) throw new OwnersFault('there is no such secret')
    if (status === 403) throw new Error('the webhook has no right to in this namespace')
    if (status !== 200) throw new Error(`the API server answers ${status}`)
    return credentialsIn(body)
  }
}

function credentialsIn(secret: unknown): StoredCredential[] {
  const text = (key: string) => {
    const encoded = at(secret, 'data', key)
    if (typeof encoded !== 'string') return ''
    if (encoded.length > (mostBytes * 4) / 3) throw new OwnersFault(`it is larger than ${mostBytes} bytes`)
    return Buffer.from(encoded, 'base64').toString('utf8')
  }
  switch (at(secret, 'type')) {
    case 'kubernetes.io/dockerconfigjson':
      return readDockerConfigJson(text('.dockerconfigjson'))
    case 'kubernetes.io/dockercfg':
      return readDockerCfg(text('.dockercfg'))
    default:
      // The kubelet reads no other kind.
      return []
  }
}
