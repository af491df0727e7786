/** An API server as far as pull secrets need one. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { makeAuthority, makeLeaf } from '../../../certs/authority.ts'
import { createKubeApi, type KubeApi } from '../../../src/kube-api.ts'

export type SecretsApi = { api: KubeApi; asked: string[]; secrets: Map<string, object> }

/** @param secrets by `namespace/name`; whatever else is asked for is forbidden or not there */
export async function startSecretsApi(
  test: { teardown: (done: () => unknown) => unknown },
  secrets: Record<string, object> = {},
): Promise<SecretsApi> {
  const validity = { from: new Date(), days: 1 }
  const authority = makeAuthority('kubernetes', validity)
  const leaf = makeLeaf(authority, ['127.0.0.1'], validity)
  const stored = new Map(Object.entries(secrets))
  const asked: string[] = []
  const server = createServer({ cert: leaf.cert, key: leaf.key }, (incoming, reply) => {
    asked.push(`${incoming.method} ${incoming.url}`)
    const [, namespace, name] =
      /^\/api\/v1\/namespaces\/([^/]+)\/secrets\/([^/]+)$/.exec(incoming.url ?? '') ?? []
    const secret = stored.get(`${namespace}/${name}`)
    const status =
      incoming.headers.authorization !== 'Bearer a-token' ? 401 : secret === undefined ? 404 : 200
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(secret ?? {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return {
    api: createKubeApi({ host: '127.0.0.1', port, ca: authority.cert, readToken }),
    asked,
    secrets: stored,
  }
}

export function pullSecret(
  auths: object,
  kind: 'dockerconfigjson' | 'dockercfg' = 'dockerconfigjson',
): object {
  const text = JSON.stringify(kind === 'dockercfg' ? auths : { auths })
  return { type: `kubernetes.io/${kind}`, data: { [`.${kind}`]: Buffer.from(text).toString('base64') } }
}

async function readToken(): Promise<string> {
  return 'a-token'
}
