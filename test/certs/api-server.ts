/**
 * An API server over HTTPS, as far as certificates need one, and there as strict as the real one: resource versions and conflicts, creation and
 * deletion, JSON Patch with its tests, the rules of each resource (pkg/registry/…/strategy.go), `Status` objects, its own clock in
 * `Date`, and the token. And with whatever can go wrong on the way, when a test says so.
 */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import jsonPatch from 'fast-json-patch'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { createKubeApi, type KubeApi } from '../../src/kube-api.ts'

export type Stored = {
  kind: string
  metadata: { name: string; namespace?: string; resourceVersion: string; [field: string]: unknown }
  type?: string
  immutable?: boolean
  data?: Record<string, string>
  spec?: Record<string, unknown>
  webhooks?: { name: string; clientConfig: { caBundle?: string; service?: object } }[]
}

/**
 * `hang`: no answer, ever. `drop`: the connection is closed before anything was done. `drop-after`: it was done, and the answer is lost. A number: answered
 * with that status, and nothing done.
 */
export type Fault = 'hang' | 'drop' | 'drop-after' | number

export type Asked = { method: string; path: string; isWrite: boolean; by: string }

type Outcome = { status: number; body: object }

export const token = 'the-token'

/** Of all that are started: making keys takes time. */
const validity = { from: new Date(), days: 1 }
const authority = makeAuthority('kubernetes', validity)
const leaf = makeLeaf(authority, ['localhost', '127.0.0.1'], validity)

export class TestApiServer {
  readonly requests: string[] = []
  readonly objects = new Map<string, Stored>()
  /** Called for each request before anything is done. */
  fault: (asked: Asked) => Fault | undefined | Promise<Fault | undefined> = () => undefined
  /** Called after each write. */
  afterWrite: (asked: Asked) => void = () => undefined
  /** How far its clock is ahead of ours. */
  aheadMs = 0
  readonly ca: string
  readonly #server: ReturnType<typeof createServer>
  #version = 100

  private constructor() {
    this.ca = authority.cert
    this.#server = createServer(leaf)
    this.#server.on('request', async (incoming, reply) => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const { method = '', url: path = '' } = incoming
      const isWrite = method !== 'GET'
      const asked = { method, path, isWrite, by: String(incoming.headers['user-agent'] ?? '') }
      this.requests.push(`${method} ${path}`)
      const fault = await this.fault(asked)
      if (fault === 'hang') return
      if (fault === 'drop') return void incoming.socket.destroy()
      const text = Buffer.concat(chunks).toString()
      const { status, body } =
        incoming.headers.authorization !== `Bearer ${token}`
          ? failure(401, 'Unauthorized')
          : typeof fault === 'number'
            ? failure(fault, 'as the test wants it')
            : this.#answer(method, path, text === '' ? undefined : JSON.parse(text))
      if (isWrite && status < 300) this.afterWrite(asked)
      if (fault === 'drop-after') return void incoming.socket.destroy()
      reply.sendDate = false
      reply
        .writeHead(status, { 'content-type': 'application/json', date: this.now().toUTCString() })
        .end(JSON.stringify(body))
    })
  }

  static async start(test?: { teardown: (done: () => unknown) => unknown }): Promise<TestApiServer> {
    const server = new TestApiServer()
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    test?.teardown(() => server.close())
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  now(): Date {
    return new Date(Date.now() + this.aheadMs)
  }

  api(timeoutMs?: number): KubeApi {
    const access = { host: '127.0.0.1', port: this.port, ca: this.ca, readToken: async () => token }
    return createKubeApi(access, timeoutMs)
  }

  /** As if somebody with every right had written it. */
  put(path: string, object: Omit<Stored, 'metadata'> & { metadata: Record<string, unknown> }): Stored {
    const name = path.split('/').at(-1) ?? ''
    const metadata = { ...object.metadata, name, resourceVersion: String(++this.#version) }
    const stored = structuredClone({ ...object, metadata })
    this.objects.set(path, stored)
    return stored
  }

  /** Becomes what another one is just now, clock included. */
  copy(other: TestApiServer): void {
    this.objects.clear()
    for (const [path, stored] of other.objects) this.objects.set(path, structuredClone(stored))
    this.#version = other.#version
    this.aheadMs = other.aheadMs
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #answer(method: string, path: string, given: unknown): Outcome {
    const { kind, folder, name } = resourceAt(path)
    if (kind === undefined) return failure(404, 'the server could not find the requested resource')
    const key = method === 'POST' ? `${folder}/${(given as Stored).metadata.name}` : path
    const stored = this.objects.get(key)
    if (method === 'POST') {
      if (stored !== undefined) return failure(409, `${kind} "${stored.metadata.name}" already exists`)
      return this.#store(key, given as Stored, 201)
    }
    if (stored === undefined) {
      // A Lease may be created by a PUT, nothing else of these.
      if (method === 'PUT' && kind === 'leases') return this.#store(key, given as Stored, 201)
      return failure(404, `${kind} "${name}" not found`)
    }
    if (method === 'GET') return { status: 200, body: stored }
    if (method === 'PATCH') return this.#patch(key, stored, given as jsonPatch.Operation[])
    if (method !== 'PUT') return failure(405, 'the method is not allowed')
    const version = (given as Stored).metadata.resourceVersion as string | undefined
    // Secrets allow an update that names no version.
    if (version === undefined && kind !== 'secrets')
      return failure(422, `metadata.resourceVersion: must be specified for an update`)
    if (version !== undefined && version !== stored.metadata.resourceVersion)
      return failure(409, `the object has been modified; please apply your changes to the latest version`)
    return this.#store(key, given as Stored, 200, stored)
  }

  #patch(key: string, stored: Stored, operations: jsonPatch.Operation[]): Outcome {
    const patched = structuredClone(stored)
    try {
      jsonPatch.applyPatch(patched, operations, true)
    } catch (error) {
      return failure(422, `the server rejected our request due to an error in our request: ${String(error)}`)
    }
    return this.#store(key, patched, 200, stored)
  }

  #store(key: string, given: Stored, status: number, before?: Stored): Outcome {
    const problem = problemOf(given, before)
    if (problem !== undefined) return failure(problem.startsWith('400') ? 400 : 422, problem)
    const unchanged = before !== undefined && JSON.stringify(before) === JSON.stringify(given)
    const resourceVersion = unchanged ? before.metadata.resourceVersion : String(++this.#version)
    const stored = structuredClone({ ...given, metadata: { ...given.metadata, resourceVersion } })
    this.objects.set(key, stored)
    return { status, body: stored }
  }
}

function resourceAt(path: string): { kind?: string; folder: string; name: string } {
  const form =
    /^((?:\/api\/v1\/namespaces\/[^/]+\/(secrets)|\/apis\/coordination\.k8s\.io\/v1\/namespaces\/[^/]+\/(leases)|\/apis\/admissionregistration\.k8s\.io\/v1\/((?:mutating|validating)webhookconfigurations)))(?:\/([^/?]+))?$/
  const [, folder = '', secrets, leases, configurations, name = ''] = form.exec(path) ?? []
  const kind = secrets ?? leases ?? configurations
  return { ...(kind === undefined ? {} : { kind }), folder, name }
}

/** Validation, as pkg/apis/…/validation has it, of what these objects have. */
function problemOf(given: Stored, before: Stored | undefined): string | undefined {
  if (given.kind === 'Lease') {
    for (const field of ['acquireTime', 'renewTime'])
      // metav1.MicroTime is parsed with RFC3339Micro: exactly six digits.
      if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(String(given.spec?.[field])))
        return `400 parsing time ${JSON.stringify(given.spec?.[field])} as "2006-01-02T15:04:05.000000Z07:00"`
    const duration = given.spec?.leaseDurationSeconds
    if (!Number.isInteger(duration) || (duration as number) < 1)
      return 'spec.leaseDurationSeconds: must be greater than 0'
  }
  if (given.kind === 'Secret') {
    if (before?.immutable === true) return 'data: field is immutable when `immutable` is set'
    if (before !== undefined && given.type !== before.type) return 'type: field is immutable'
    if (given.type === 'kubernetes.io/tls' && !['tls.crt', 'tls.key'].every((name) => Object.hasOwn(given.data ?? {}, name))) return 'data[tls.crt], data[tls.key]: Required value' // prettier-ignore
  }
  for (const { name, clientConfig } of given.webhooks ?? []) {
    const text = Buffer.from(clientConfig.caBundle ?? '', 'base64').toString()
    if (text !== '' && !text.includes('BEGIN CERTIFICATE'))
      return `webhooks[${name}].clientConfig.caBundle: unable to load root certificates`
  }
  return undefined
}

function failure(status: number, message: string): Outcome {
  return { status, body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code: status } }
}
