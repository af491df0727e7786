/**
 * The node agent: one process a node.
 *   node agent/main.ts [--pods /var/lib/kubelet/pods] [--port 9465] [--kubeconfig FILE]
 * REPRIEVE_NODE_NAME names the node. Without --kubeconfig it uses the service account of its pod. Port 0: no metrics and no health.
 */
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KubeConfig } from '@kubernetes/client-node'
import { describeError, ReprieveError } from '../src/errors.ts'
import { createLog } from '../src/log.ts'
import { connectKube } from './kube.ts'
import { AgentMetrics } from './metrics.ts'
import { NodeAgent } from './node-agent.ts'
import { callSidecar } from './pod-socket.ts'

const log = createLog('agent')
const ending = new AbortController()
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => {
    log.info({ event: 'agent.stopping', signal: name }, 'the agent was told to end')
    ending.abort()
  })

try {
  await run()
} catch (error) {
  log.fatal({ event: 'agent.failed', error: describeError(error) }, 'the agent cannot run')
  process.exitCode = 1
}
// A connection or a listener that is left must not keep the process.
process.exit()

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pods: { type: 'string', default: '/var/lib/kubelet/pods' },
      port: { type: 'string', default: '9465' },
      kubeconfig: { type: 'string' },
    },
  })
  const node = process.env.REPRIEVE_NODE_NAME ?? ''
  if (node === '')
    throw new ReprieveError('config-invalid', 'REPRIEVE_NODE_NAME is not set: the DaemonSet sets it')
  const config = new KubeConfig()
  if (values.kubeconfig === undefined) config.loadFromCluster()
  else config.loadFromFile(values.kubeconfig)
  const metrics: AgentMetrics = new AgentMetrics(() => agent.counts)
  const agent = new NodeAgent({
    node,
    version: versionOfPackage(),
    kube: connectKube(config),
    call: (uid) => callSidecar(values.pods, uid),
    metrics,
    log: log.child({ node }),
  })
  serveAdmin(Number(values.port), { agent, metrics })
  log.info({ event: 'agent.ready', node, pods: values.pods }, 'the agent watches its node')
  await agent.run(ending.signal)
}

function serveAdmin(port: number, { agent, metrics }: { agent: NodeAgent; metrics: AgentMetrics }): void {
  if (port === 0) return
  const server = createServer({ requestTimeout: 5_000 }, async (request, reply) => {
    const why = agent.whyNotReady
    if (request.url === '/healthz') reply.end('ok\n')
    else if (request.url === '/readyz') reply.writeHead(why === undefined ? 200 : 503).end(`${why ?? 'ok'}\n`)
    else if (request.url === '/metrics')
      reply.setHeader('content-type', 'text/plain; version=0.0.4').end(await metrics.registry.metrics())
    else reply.writeHead(404).end('one of /healthz, /readyz, /metrics\n')
  })
  // A port that is taken must not cost the pods of the node their agent.
  server.on('error', (error) => log.warn({ event: 'agent.metrics_unavailable', err: error, port }, 'the port cannot be had')) // prettier-ignore
  server.listen(port)
}

function versionOfPackage(): string {
  const ofPackage = new URL('../package.json', import.meta.url)
  return (JSON.parse(readFileSync(ofPackage, 'utf8')) as { version: string }).version
}
