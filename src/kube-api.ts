/**
 * The few requests to the API server that the control plane needs, as its pod's service account, over node:https: a client
 * library would cost more memory than the whole of such a process.
 * https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
 */
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { ReprieveError } from './errors.ts'

/** `date`: the API server's clock, by which certificates are judged; undefined where a proxy has left it out. */
export type KubeAnswer = { status: number; body: unknown; date?: Date | undefined }

export type KubeApi = (
  method: 'GET' | 'POST' | 'PUT' | 'PATCH',
  path: string,
  body?: object,
  contentType?: string,
) => Promise<KubeAnswer>

export type KubeAccess = { host: string; port: number; ca: string; readToken: () => Promise<string> }

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'
const defaultTimeoutMs = 10_000
const maxAnswerBytes = 8 * 1024 * 1024

/** @throws ReprieveError `config-invalid` outside a pod */
export async function accessFromPod(env: NodeJS.ProcessEnv): Promise<KubeAccess> {
  const host = env.KUBERNETES_SERVICE_HOST
  const port = Number(env.KUBERNETES_SERVICE_PORT ?? 443)
  if (host === undefined)
    throw new ReprieveError(
      'config-invalid',
      'KUBERNETES_SERVICE_HOST is not set: this is no pod, and there is no API server to ask',
    )
  return {
    host,
    port,
    ca: await readFile(`${accountFolder}/ca.crt`, 'utf8'),
    // Tokens are replaced while the pod runs.
    readToken: async () => (await readFile(`${accountFolder}/token`, 'utf8')).trim(),
  }
}

/** @param timeoutMs of one request, from its beginning to the last byte of its answer */
export function createKubeApi(access: KubeAccess, timeoutMs = defaultTimeoutMs): KubeApi {
  return async (method, path, body, contentType = 'application/json') => {
    const token = await access.readToken()
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${token}`,
      accept: 'application/json',
      ...(text === undefined
        ? {}
        : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
    }
    const { promise, resolve, reject } = Promise.withResolvers<KubeAnswer>()
    const signal = AbortSignal.timeout(timeoutMs)
    const outgoing = request(
      { host: access.host, port: access.port, ca: access.ca, method, path, headers, signal },
      (incoming) => {
        const chunks: Buffer[] = []
        let sizeBytes = 0
        incoming.on('data', (chunk: Buffer) => {
          sizeBytes += chunk.length
          if (sizeBytes > maxAnswerBytes) incoming.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        incoming.on('error', reject)
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            body: parsed(Buffer.concat(chunks).toString('utf8')),
            date: dateIn(incoming.headers.date),
          }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(text)
    return promise
  }
}

function dateIn(header: string | undefined): Date | undefined {
  const date = new Date(header ?? '')
  return Number.isNaN(date.getTime()) ? undefined : date
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Proxies answer in HTML when they fail; the status says enough.
    return undefined
  }
}
