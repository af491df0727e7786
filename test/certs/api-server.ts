/** An API server as far as certificates need one: a Secret with optimistic locking, and a webhook configuration. */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import jsonPatch from 'fast-json-patch'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import { createKubeApi, type KubeApi } from '../../src/kube-api.ts'

type Stored = { metadata: { resourceVersion?: string }; data: Record<string, string> }
type Configuration = { webhooks: { name: string; clientConfig: { caBundle?: string } }[] }

export type TestApiServer = {
  api: KubeApi
  port: number
  secret: () => Stored | undefined
  configuration: Configuration
  guard: Configuration
  requests: string[]
  /** Called before the next write of the Secret: what another replica does just then. */
  beforeWrite: (act: () => Promise<void>) => void
  close: () => void
}

export async function startApiServer(): Promise<TestApiServer> {
  const now = new Date()
  const authority = makeAuthority('kubernetes', { from: now, days: 1 })
  const leaf = makeLeaf(authority, ['localhost', '127.0.0.1'], { from: now, days: 1 })
  let secret: Stored | undefined
  let version = 0
  let act: (() => Promise<void>) | undefined
  const configuration: Configuration = {
    webhooks: [
      { name: 'pod.reprieve.dev', clientConfig: {} },
      { name: 'namespace.reprieve.dev', clientConfig: {} },
    ],
  }
  const guard: Configuration = { webhooks: [{ name: 'exec.reprieve.dev', clientConfig: {} }] }
  const requests: string[] = []

  const answer = async (method: string, path: string, body: unknown): Promise<[number, unknown]> => {
    const kind = /^\/apis\/admissionregistration\.k8s\.io\/v1\/(\w+)\/reprieve$/.exec(path)?.[1]
    if (kind !== undefined) {
      const patched = kind === 'mutatingwebhookconfigurations' ? configuration : guard
      if (method === 'PATCH') jsonPatch.applyPatch(patched, body as jsonPatch.Operation[], true)
      return [200, patched]
    }
    if (method === 'GET') return secret === undefined ? [404, {}] : [200, secret]
    const racing = act
    act = undefined
    await racing?.()
    const given = body as Stored
    const stale = method === 'PUT' && given.metadata.resourceVersion !== secret?.metadata.resourceVersion
    if ((method === 'POST' && secret !== undefined) || stale) return [409, {}]
    secret = { ...given, metadata: { ...given.metadata, resourceVersion: String(++version) } }
    return [method === 'POST' ? 201 : 200, secret]
  }

  const server = createServer({ cert: leaf.cert, key: leaf.key }, async (incoming, reply) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const method = incoming.method ?? ''
    const path = incoming.url ?? ''
    requests.push(`${method} ${path}`)
    const text = Buffer.concat(chunks).toString()
    const [status, body] =
      incoming.headers.authorization === 'Bearer the-token'
        ? await answer(method, path, text === '' ? undefined : JSON.parse(text))
        : [401, {}]
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    api: createKubeApi({ host: '127.0.0.1', port, ca: authority.cert, readToken: async () => 'the-token' }),
    port,
    secret: () => secret,
    configuration,
    guard,
    requests,
    beforeWrite: (next) => (act = next),
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
