/** Health, readiness and metrics, on a port of their own over plain HTTP: kubelets and Prometheus ask here. */
import fastify, { type FastifyInstance } from 'fastify'

/** `metrics` gives Prometheus' text format. `whyNotReady`: undefined if it is ready. */
export type AdminParts = {
  metrics: () => Promise<string>
  whyNotReady: () => string | undefined
}

export function createAdminServer({ metrics, whyNotReady }: AdminParts): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, requestTimeout: 5000 })
  app.get('/healthz', async () => 'ok\n')
  app.get('/readyz', async (_request, reply) => {
    const why = whyNotReady()
    return why === undefined ? 'ok\n' : reply.code(503).send(`not ready: ${why}\n`)
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4').send(await metrics()),
  )
  return app
}
