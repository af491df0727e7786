/**
 * An API server over HTTP as far as a node agent needs one, and there as strict as the real one: tokens, RBAC, admission policies, lists and
 * watches with field selectors, resource versions, bookmarks and 410 Gone, graceful deletion, the subresource `resize`. And with whatever can
 * go wrong on the way, when a test says so.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Objects, type Change, type Kind, type KubeObject } from './objects.ts'
import { selects } from './selectors.ts'
import { judge, rbacRefusal, type Account, type Attributes, type Rights } from './rights.ts'
import { propose } from './writes.ts'

/** `hang`: no answer, ever. `drop`: the connection is closed before anything is done. A number: answered with that status. */
export type Fault = 'hang' | 'drop' | number

export type Asked = { method: string; path: string; query: URLSearchParams; isWatch: boolean }

export type KubeServerOptions = {
  /** By token; without any, every request is let through. */
  accounts?: ReadonlyMap<string, Account>
  rights?: Rights
  /** The pause between two bookmarks of a watch. */
  bookmarkMs?: number
}

type Watching = { kind: Kind; selector: string; reply: ServerResponse; bookmarks: boolean }

export class KubeServer {
  readonly objects = new Objects()
  readonly asked: Asked[] = []
  fault: (asked: Asked) => Fault | undefined = () => undefined
  /** Whether 410 Gone is the status of a watch, or an event of it: the real one does both. */
  goneAs: 'status' | 'event' = 'event'
  /** What an admission plugin, such as a quota, says of a resize. */
  refuseResize: (pod: KubeObject) => string | undefined = () => undefined
  readonly #options: KubeServerOptions
  readonly #watching = new Set<Watching>()
  readonly #server = createServer((request, reply) => void this.#serve(request, reply))
  readonly #timer: NodeJS.Timeout
  #isAway = false

  private constructor(options: KubeServerOptions) {
    this.#options = options
    this.objects.listen((change) => this.#changed(change))
    this.#timer = setInterval(() => this.bookmark(), options.bookmarkMs ?? 60_000)
  }

  static async start(
    test: { teardown: (done: () => unknown) => unknown },
    options: KubeServerOptions = {},
  ): Promise<KubeServer> {
    // prettier-ignore
    const server = new KubeServer(options)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    test.teardown(() => server.close())
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get watches(): number {
    return this.#watching.size
  }

  close(): void {
    clearInterval(this.#timer)
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** Every connection breaks, and new ones do until it is back. */
  away(isAway: boolean): void {
    this.#isAway = isAway
    if (isAway) this.#server.closeAllConnections()
  }

  /** The watches end as they do at their time-out. */
  endWatches(): void {
    for (const watching of this.#watching) {
      this.#watching.delete(watching)
      watching.reply.end()
    }
  }

  bookmark(): void {
    for (const { kind, reply, bookmarks } of this.#watching)
      if (bookmarks) send(reply, 'BOOKMARK', { apiVersion: 'v1', kind: kindOf(kind), metadata: { resourceVersion: String(this.objects.version) } }) // prettier-ignore
  }

  #changed({ kind, type, object, before }: Change): void {
    for (const watching of this.#watching) {
      if (watching.kind !== kind) continue
      const [was, is] = [before !== undefined && selects(watching.selector, before), selects(watching.selector, object)] // prettier-ignore
      if (type === 'DELETED') {
        if (was) send(watching.reply, 'DELETED', object)
      } else if (is) send(watching.reply, was ? 'MODIFIED' : 'ADDED', object)
      else if (was) send(watching.reply, 'DELETED', object)
    }
  }

  async #serve(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    if (this.#isAway) return void request.socket.destroy()
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://server')
    const isWatch = query.get('watch') === 'true'
    const asked = { method: request.method ?? '', path: pathname, query, isWatch }
    this.asked.push(asked)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const fault = this.fault(asked)
    if (fault === 'hang') return
    if (fault === 'drop') return void request.socket.destroy()
    if (typeof fault === 'number') return fail(reply, fault, 'as the test wants it')
    const resource = resourceAt(pathname)
    if (resource === undefined) return fail(reply, 404, 'the server could not find the requested resource')
    const text = Buffer.concat(chunks).toString()
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const allowed = this.#authorize(request, asked, resource)
    if ('message' in allowed) return fail(reply, allowed.status, allowed.message)
    this.#answer({ request, reply, asked, resource, body, allowed })
  }

  #authorize(request: IncomingMessage, { method, isWatch }: Asked, resource: Resource): Allowed | Refused {
    const { accounts, rights } = this.#options
    if (accounts === undefined || rights === undefined) return { judge: () => undefined }
    const account = accounts.get(String(request.headers.authorization).replace(/^Bearer /, ''))
    if (account === undefined) return { status: 401, message: 'Unauthorized' }
    const { group, kind, namespace, name, subresource } = resource
    const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
    const verb = verbs[method] ?? (isWatch ? 'watch' : name === undefined ? 'list' : 'get')
    const attributes: Attributes = { verb, group, resource: kind, subresource, namespace, name }
    const message = rbacRefusal(rights, account, attributes)
    if (message !== undefined) return { status: 403, message }
    return { judge: (object, before) => judge(rights, account, attributes, { object, before }) }
  }

  #answer({ request, reply, asked, resource, body, allowed }: Served): void {
    const { kind, namespace, name, subresource } = resource
    const { method, query, isWatch } = asked
    if (name === undefined && method === 'GET')
      return isWatch ? this.#watch(reply, kind, query) : this.#list(reply, kind, query)
    const named = name ?? (body as KubeObject | undefined)?.metadata?.name ?? ''
    const before = this.objects.get(kind, namespace, named)
    if (name !== undefined && before === undefined) return fail(reply, 404, `${kind} "${name}" not found`)
    if (name === undefined && before !== undefined)
      return fail(reply, 409, `${kind} "${named}" already exists`)
    if (method === 'GET') return answer(reply, 200, before ?? {})
    const contentType = request.headers['content-type']
    const proposed = propose({ method, kind, namespace, subresource, contentType, body }, before)
    if ('problem' in proposed) return fail(reply, proposed.status, proposed.problem)
    const { object, isSame = false } = proposed
    const refused =
      allowed.judge(object, before) ?? (subresource === 'resize' ? this.#quota(named, object) : undefined)
    if (refused !== undefined) return fail(reply, 403, refused)
    answer(reply, before === undefined ? 201 : 200, isSame ? object : this.objects.put(kind, object))
  }

  #quota(name: string, pod: KubeObject): string | undefined {
    const refused = this.refuseResize(pod)
    return refused && `pods "${name}" is forbidden: ${refused}`
  }

  #list(reply: ServerResponse, kind: Kind, query: URLSearchParams): void {
    const selector = query.get('fieldSelector') ?? ''
    const items = this.objects.all(kind).filter((object) => selects(selector, object))
    const metadata = { resourceVersion: String(this.objects.version) }
    answer(reply, 200, { apiVersion: 'v1', kind: `${kindOf(kind)}List`, metadata, items })
  }

  #watch(reply: ServerResponse, kind: Kind, query: URLSearchParams): void {
    const from = Number(query.get('resourceVersion'))
    const selector = query.get('fieldSelector') ?? ''
    const gone = `too old resource version: ${from} (${this.objects.oldest})`
    if (from < this.objects.oldest && this.goneAs === 'status') return fail(reply, 410, gone)
    reply.writeHead(200, { 'content-type': 'application/json' })
    reply.flushHeaders()
    if (from < this.objects.oldest) {
      send(reply, 'ERROR', statusOf(410, gone))
      return void reply.end()
    }
    const bookmarks = query.get('allowWatchBookmarks') === 'true'
    const watching = { kind, selector, reply, bookmarks }
    this.#watching.add(watching)
    reply.on('close', () => this.#watching.delete(watching))
    const only = new Set([watching])
    for (const change of this.objects.since(from)) this.#replay(change, only)
    const seconds = Number(query.get('timeoutSeconds') ?? 0)
    if (seconds > 0) {
      const timer = setTimeout(() => reply.end(), seconds * 1_000)
      reply.on('close', () => clearTimeout(timer))
    }
  }

  #replay(change: Change, only: ReadonlySet<Watching>): void {
    const others = [...this.#watching].filter((watching) => !only.has(watching))
    for (const other of others) this.#watching.delete(other)
    this.#changed(change)
    for (const other of others) this.#watching.add(other)
  }
}

/** Judges a write by the policies. @returns why it is denied */
type Allowed = { judge: (object: KubeObject, before: KubeObject | undefined) => string | undefined }
type Refused = { status: number; message: string }
type Resource = { group: string; kind: Kind; namespace: string | undefined; name: string | undefined; subresource: string | undefined } // prettier-ignore
type Served = {
  request: IncomingMessage
  reply: ServerResponse
  asked: Asked
  resource: Resource
  body: unknown
  allowed: Allowed
}

const core = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/(pods|nodes)(?:\/([^/]+)(?:\/([^/]+))?)?$/
const grouped = /^\/apis\/(events\.k8s\.io)\/v1\/namespaces\/([^/]+)\/(events)(?:\/([^/]+)(?:\/([^/]+))?)?$/

function resourceAt(path: string): Resource | undefined {
  const [, namespace, kind, name, subresource] = core.exec(path) ?? []
  if (kind !== undefined) return { group: '', kind: kind as Kind, namespace, name, subresource }
  const [, group = '', within, plural, one, part] = grouped.exec(path) ?? []
  return plural === undefined
    ? undefined
    : { group, kind: plural as Kind, namespace: within, name: one, subresource: part }
}

function kindOf(kind: Kind): string {
  return { pods: 'Pod', nodes: 'Node', events: 'Event' }[kind]
}

function send(reply: ServerResponse, type: string, object: object): void {
  reply.write(`${JSON.stringify({ type, object })}\n`)
}

function answer(reply: ServerResponse, status: number, body: object): void {
  reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function fail(reply: ServerResponse, status: number, message: string): void {
  answer(reply, status, statusOf(status, message))
}

function statusOf(code: number, message: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code }
}
