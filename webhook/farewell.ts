/**
 * Lets clients go before a server closes. An API server keeps its connections, and a request that it has just written on one that we close is
 * lost: it is a POST, so it is not sent again, and its pod goes on unprotected. Asked by an answer to close a connection, it sends the next
 * request on another one.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const lookEveryMs = 20

/** Resolves when no connection is left, and at the latest after `forMs`; requests are answered all the while. */
export async function sayFarewell(server: Server, forMs: number): Promise<void> {
  // Runs before the listener that answers. A request under way keeps its connection, which is closed with the client's next request.
  server.prependListener('request', (_request: IncomingMessage, answer: ServerResponse) => {
    answer.shouldKeepAlive = false
  })
  const until = performance.now() + forMs
  while (performance.now() < until && (await connectionsOf(server)) > 0) await sleep(lookEveryMs)
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 0 : count)))
}
