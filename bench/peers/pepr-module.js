/**
 * A Pepr module that injects what ours injects, run in a folder where pepr is installed. Pepr keeps a store in the cluster and listens
 * only when it has heard of it, so a little API server answers it that.
 *   PORT, CERT, KEY: where it listens, and with what. INJECTION: a file with the containers, volumes and mounts that it adds
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const { PORT, CERT, KEY, INJECTION } = process.env
const { initContainers, volumes, volumeMounts } = JSON.parse(readFileSync(INJECTION, 'utf8'))

const cluster = createServer((incoming, reply) => {
  const url = new URL(incoming.url, 'http://x')
  const name = url.pathname.split('/').at(-1)
  const metadata = { name, namespace: 'pepr-system', resourceVersion: '1', labels: {} }
  const store = { apiVersion: 'pepr.dev/v1', kind: 'PeprStore', metadata, data: {} }
  reply.writeHead(200, { 'content-type': 'application/json' })
  if (url.searchParams.has('watch')) reply.write(`${JSON.stringify({ type: 'ADDED', object: store })}\n`)
  else if (/stores$/i.test(url.pathname))
    reply.end(
      JSON.stringify({
        apiVersion: 'pepr.dev/v1',
        kind: 'PeprStoreList',
        metadata: { resourceVersion: '1' },
        items: [store],
      }),
    )
  else reply.end(JSON.stringify(store))
})
await new Promise((resolve) => cluster.listen(0, '127.0.0.1', resolve))
const kubeconfig = join(import.meta.dirname, `kubeconfig-${process.pid}`)
writeFileSync(
  kubeconfig,
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    clusters: [
      {
        name: 'bench',
        cluster: { server: `http://127.0.0.1:${cluster.address().port}`, 'insecure-skip-tls-verify': true },
      },
    ],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
  }),
)
Object.assign(process.env, {
  KUBECONFIG: kubeconfig,
  SSL_CERT_PATH: CERT,
  SSL_KEY_PATH: KEY,
  PEPR_API_PATH: 'bench',
  PEPR_WATCH_MODE: 'false',
})

const { Capability, PeprModule, a } = await import('pepr')
const capability = new Capability({ name: 'inject', description: 'injects a sidecar', namespaces: [] })
capability
  .When(a.Pod)
  .IsCreated()
  .Mutate((pod) => {
    pod.SetLabel('reprieve.dev/injected', 'true')
    const { spec } = pod.Raw
    spec.shareProcessNamespace = true
    spec.terminationGracePeriodSeconds = (spec.terminationGracePeriodSeconds ?? 30) + 125
    spec.volumes = [...(spec.volumes ?? []), ...volumes]
    spec.initContainers = [...initContainers, ...(spec.initContainers ?? [])]
    const [first] = spec.containers
    first.command = [
      '/reprieve/bin/launcher',
      'run',
      `--container=${first.name}`,
      '--',
      ...(first.command ?? []),
    ]
    first.volumeMounts = [...(first.volumeMounts ?? []), ...volumeMounts]
    first.lifecycle = {
      ...first.lifecycle,
      preStop: { exec: { command: ['/reprieve/bin/launcher', 'prestop'] } },
    }
  })
const pepr = { uuid: 'bench', onError: 'reject', alwaysIgnore: { namespaces: [] } }
const module = new PeprModule({ description: 'bench', pepr }, [capability], { deferStart: true })
module.start(Number(PORT))
