/** Health, readiness and metrics, on a port of their own over plain HTTP: kubelets and Prometheus ask here. */
import fastify, { type FastifyInstance } from 'fastify'

/** `counts`: what gives lines in Prometheus' text format. */
export type AdminParts = { counts: readonly { text: () => string }[]; isReady: () => boolean }

export function createAdminServer({ counts, isReady }: AdminParts): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, requestTimeout: 5000 })
  app.get('/healthz', async () => 'ok\n')
  app.get('/readyz', async (_request, reply) =>
    reply.code(isReady() ? 200 : 503).send(isReady() ? 'ok\n' : 'not ready\n'),
  )
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4').send(counts.map((each) => each.text()).join('')),
  )
  return app
}
