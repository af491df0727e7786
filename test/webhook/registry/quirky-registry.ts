/** A server that answers as a test wants it to, and remembers what it was asked. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Blob } from './oci-image.ts'

export type Asked = { method: string; path: string; authorization: string | undefined }
export type Quirk = (incoming: IncomingMessage, reply: ServerResponse, path: string) => void

export type QuirkyRegistry = { host: string; asked: Asked[]; answerWith: (quirk: Quirk) => void }

export async function startQuirky(
  test: { teardown: (done: () => unknown) => unknown },
  first: Quirk = (_incoming, reply) => reply.writeHead(404).end(),
): Promise<QuirkyRegistry> {
  let quirk = first
  const asked: Asked[] = []
  const server = createServer((incoming, reply) => {
    const path = incoming.url ?? ''
    asked.push({ method: incoming.method ?? '', path, authorization: incoming.headers.authorization })
    quirk(incoming, reply, path)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answerWith: (next) => (quirk = next),
  }
}

/** Blobs and manifests by their digest, or by whatever ends the path. */
export function serving(blobs: Record<string, Blob>): Quirk {
  return (_incoming, reply, path) => {
    const blob = blobs[path.split('/').at(-1) ?? '']
    if (blob === undefined) reply.writeHead(404).end()
    else reply.writeHead(200, { 'content-type': blob.mediaType }).end(blob.bytes)
  }
}
