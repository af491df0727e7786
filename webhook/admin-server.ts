/** Health, readiness and metrics, on a port of their own over plain HTTP: kubelets and Prometheus ask here. */
import fastify, { type FastifyInstance } from 'fastify'

/** `counts`: what gives lines in Prometheus' text format. `whyNotReady`: undefined if it is ready. */
export type AdminParts = {
  counts: readonly { text: () => string }[]
  whyNotReady: () => string | undefined
}

export function createAdminServer({ counts, whyNotReady }: AdminParts): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, requestTimeout: 5000 })
  app.get('/healthz', async () => 'ok\n')
  app.get('/readyz', async (_request, reply) => {
    const why = whyNotReady()
    return why === undefined ? 'ok\n' : reply.code(503).send(`not ready: ${why}\n`)
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4').send(counts.map((each) => each.text()).join('')),
  )
  return app
}
