/**
 * The least that a webhook can be: an HTTPS route that parses the review and allows it, on the same framework as ours.
 *   PORT, CERT, KEY: where it listens, and with what
 */
import { readFileSync } from 'node:fs'
import fastify from 'fastify'

const { PORT, CERT, KEY } = process.env
const app = fastify({
  https: { cert: readFileSync(CERT), key: readFileSync(KEY) },
  bodyLimit: 10 * 1024 * 1024,
  keepAliveTimeout: 120_000,
})
app.post('/mutate', async ({ body }) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: body.request.uid, allowed: true },
}))
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
