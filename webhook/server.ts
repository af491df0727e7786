/** The admission endpoints: HTTPS as an API server speaks it. They answer whatever comes. */
import fastify, { type FastifyInstance } from 'fastify'
import { describeError } from '../src/errors.ts'
import { guardPaths, serveGuard, type GuardParts } from './guard/route.ts'
import type { Entry } from './metrics.ts'
import { serveMutations, type MutationParts } from './mutations-route.ts'
import type { CertificatePair } from './serving-certificate.ts'

export type ServerParts = GuardParts &
  Omit<MutationParts, 'bodyLimitBytes'> & {
    certificate: CertificatePair
    /** PEM texts: whoever shows no certificate of theirs is refused before a request is read. Undefined: everybody is heard. */
    clientAuthorities?: string[] | undefined
  }

/** API servers close idle connections after 90 s; a side that closes first makes the other's next request fail. */
const keepAliveMs = 120_000
/** A pod can be large (etcd takes 1.5 MiB, a review holds it up to twice), but never this large. */
const bodyLimitBytes = 10 * 1024 * 1024
const requestTimeoutMs = 35_000
const entryOf = new Map<string | undefined, Entry>([
  ['/mutate/pod', 'pod'],
  ['/mutate/namespace', 'namespace'],
  ['/mutate/restricted-namespace', 'namespace'],
  ...guardPaths.map((path) => [path, 'guard'] as const),
])

export function createServer(parts: ServerParts): FastifyInstance {
  const { certificate, clientAuthorities, log } = parts
  const app = fastify({
    https: contextOf(certificate, clientAuthorities),
    logger: false,
    bodyLimit: bodyLimitBytes,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: 'idle',
    // The parsed review is only read, field by own field: such keys are data like any other, and no reason to fail.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
  }) as unknown as FastifyInstance

  serveMutations(app, { ...parts, bodyLimitBytes })
  serveGuard(app, parts)

  app.addHook('onResponse', (incoming, reply, done) => {
    const entry = entryOf.get(incoming.routeOptions.url)
    if (entry !== undefined) parts.metrics.observe(entry, reply.elapsedTime)
    done()
  })
  app.setErrorHandler((error, _incoming, reply) => {
    const code = statusOf(error)
    log[code >= 500 ? 'error' : 'warn'](
      { event: 'request.refused', code, error: describeError(error) },
      'refused a request',
    )
    return reply.code(code).send({ error: describeError(error) })
  })
  return app
}

/** Of new connections; `requestCert` counts when the server is made. */
export function contextOf(certificate: CertificatePair, clientAuthorities?: string[]) {
  const ours = { ...certificate, minVersion: 'TLSv1.2' as const }
  return clientAuthorities === undefined
    ? ours
    : { ...ours, ca: clientAuthorities, requestCert: true, rejectUnauthorized: true }
}

function statusOf(error: unknown): number {
  const code = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof code === 'number' && code >= 400 && code < 600 ? code : 500
}
