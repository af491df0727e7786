/** What a sidecar reports becomes Events of the pod and of its owner, and a condition of the pod: over real sockets, with a strict API server. */
import t, { type Test } from 'tap'
import { AgentMetrics } from '../../agent/metrics.ts'
import { NodeAgent } from '../../agent/node-agent.ts'
import { callSidecar } from '../../agent/pod-socket.ts'
import { podEventReasons, type PodEvent } from '../../src/agent/report.ts'
import { KubeServer } from '../kube/server.ts'
import { kubeTo, nodeName, nodeObject, podObject } from '../kube/stage.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { podPlan } from '../sidecar/stand-ins.ts'
import { until } from '../until.ts'
import { listeningSidecar, podsFolder } from './pods-folder.ts'

const uid = '00000000-0000-4000-8000-000000000001'
const job = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'job-uid' }
const ownerReferences = [
  { ...job, kind: 'Other', controller: false },
  { ...job, controller: true },
]
const [id, later] = ['20260102T030405.000Z-0123abcd', '20260102T040405.000Z-0123abcd']
const atMs = Date.parse('2026-01-02T03:04:05Z')

type Told = { regarding: { kind: string; name: string; uid: string }; related?: object; reason: string; note: string; type: string; series?: { count: number } } // prettier-ignore
type Condition = { type: string; status: string; reason: string; message: string; lastTransitionTime: string }

async function openPod(t: Test, { writePauseMs = 5, containers = ['app'] } = {}) {
  const server = await KubeServer.start(t)
  const folder = podsFolder(t)
  const run = folder.addPod(uid)
  const sidecar = await listeningSidecar(t, run, { podUid: uid })
  server.objects.put('nodes', nodeObject())
  const plan = { ...podPlan, containers: containers.map((name) => ({ ...podPlan.containers[0], name })) }
  server.objects.put('pods', podObject({ uid, name: 'p', plan, metadata: { ownerReferences } }))
  const call = (pod: string) => callSidecar(folder.path, pod)
  const startAgent = () => {
    const metrics: AgentMetrics = new AgentMetrics(() => agent.counts)
    const agent: NodeAgent = new NodeAgent({ node: nodeName, version: '0.0.2', kube: kubeTo(server), call, metrics, log: quietLog, pausesMs: [5, 40], writePauseMs }) // prettier-ignore
    const stop = new AbortController()
    const running = agent.run(stop.signal)
    const kill = () => (stop.abort(), running)
    t.teardown(kill)
    return { metrics, kill }
  }
  const told = () => server.objects.all('events') as unknown as Told[]
  const condition = () => {
    const { conditions = [] } = (server.objects.get('pods', 'ns', 'p')?.status ?? {}) as {
      conditions?: Condition[]
    }
    return conditions.find(({ type }) => type === 'reprieve.dev/Checkpointed')
  }
  const tell = (reason: PodEvent['reason'], code = 'c', container = 'app') =>
    sidecar.events.tell({ reason, container, code, detail: `because of ${code}` })
  const saved = (checkpoint = { id, atMs }, container = 'app') =>
    sidecar.events.saved({ reason: 'CheckpointTaken', container, code: 'interval', detail: 'trigger interval' }, checkpoint) // prettier-ignore
  return { server, ...sidecar, startAgent, told, condition, tell, saved }
}

t.test('what happened is an Event of the pod and of its owner, with what to do', async (t) => {
  const { startAgent, told, tell } = await openPod(t)
  startAgent()
  for (const reason of podEventReasons) tell(reason)
  await until('two of each', () => told().length === 2 * podEventReasons.length)
  for (const reason of podEventReasons) {
    const [ofPod, ofJob] = told().filter((one) => one.reason === reason)
    t.match(ofPod, { regarding: { kind: 'Pod', name: 'p', uid }, reportingInstance: nodeName })
    t.match(ofPod?.note, /^Container app: .*: because of c\. [A-Z].*\.$/)
    t.match(ofJob, { regarding: { kind: 'Job', name: 'train', uid: 'job-uid' }, related: { kind: 'Pod', uid } }) // prettier-ignore
    t.match(ofJob?.note, /^Pod p, container app: /)
  }
  t.match(told().find(({ reason }) => reason === 'Fenced')?.type, 'Warning')
  t.match(told().find(({ reason }) => reason === 'Restored')?.type, 'Normal')
})

t.test('the same again is counted, in few writes, and another cause is told by itself', async (t) => {
  const { server, startAgent, told, tell } = await openPod(t)
  startAgent()
  const count = (code: string) => told().find(({ note }) => note.includes(`because of ${code}`))?.series?.count // prettier-ignore
  for (let at = 0; at < 20; at++) tell('CheckpointFailed', 'a')
  tell('CheckpointFailed', 'b')
  await until('the count', () => count('a') === 20)
  tell('CheckpointFailed', 'a')
  await until('the next', () => count('a') === 21)
  t.equal(told().length, 4)
  t.equal(count('b'), undefined)
  const patches = server.asked.filter(({ method, path }) => method === 'PATCH' && path.includes('/events/'))
  t.ok(patches.length <= 6, `${patches.length} writes`)
})

t.test('an Event that the API server has forgotten is made anew', async (t) => {
  const { server, startAgent, told, tell } = await openPod(t)
  startAgent()
  tell('CheckpointFailed')
  await until('both', () => told().length === 2)
  for (const { metadata } of server.objects.all('events')) server.objects.remove('events', 'ns', metadata.name) // prettier-ignore
  tell('CheckpointFailed')
  await until('both anew', () => told().length === 2)
  t.ok(told().every(({ series }) => series === undefined))
})

t.test('what a sidecar can have written is bounded, whatever it says', async (t) => {
  const { startAgent, told, tell, events } = await openPod(t)
  const { metrics } = startAgent()
  for (let at = 0; at < 3; at++) {
    for (let code = 0; code < 32; code++) tell('CheckpointFailed', `${at} ${code}`)
    await until('the agent to have heard', () => events.report.events.length === 0)
  }
  await until('all that are written', () => told().length === 64)
  const text = await metrics.registry.metrics()
  t.match(text, 'reprieve_agent_writes_total{what="event",outcome="dropped"} 64')
  t.match(text, 'reprieve_agent_pod_events_total{reason="CheckpointFailed"} 96')
})

t.test('a sidecar can neither end the agent nor fill its memory', async (t) => {
  const { startAgent, told, condition, saved, tell, events } = await openPod(t)
  startAgent()
  for (const instant of [atMs, atMs + 1_000, Number.MAX_SAFE_INTEGER]) saved({ id, atMs: instant })
  for (let at = 0; at < 40; at++) tell('Fenced', 'c', `made-up-${at}`)
  tell('CheckpointFailed', 'x\u001b[31m\n'.repeat(90))
  saved({ id: later, atMs: atMs + 3_600_000 })
  await until('the agent to have heard', () => events.report.events.length === 0)
  await until('the condition', () => condition()?.message === `app: ${later}`)
  await until('the failure', () => told().some(({ reason }) => reason === 'CheckpointFailed'))
  t.notOk(
    told().some(({ note }) => /made-up|\p{Cc}/u.test(note)),
    'no container that the pod lacks, no escapes',
  )
})

t.test('a condition that could not be written is written later', async (t) => {
  const { server, startAgent, condition, saved } = await openPod(t)
  startAgent()
  server.fault = ({ path }) => (path.endsWith('/status') ? 409 : undefined)
  saved()
  await until('a try', () => server.asked.some(({ path }) => path.endsWith('/status')))
  server.fault = () => undefined
  await until('the condition', () => condition() !== undefined)
})

t.test('an API server that is away gets them when it is back', async (t) => {
  const { server, startAgent, told, condition, saved, line } = await openPod(t)
  startAgent()
  await until('the call', () => line.isOpen)
  server.fault = ({ method }) => (method === 'GET' ? undefined : 503)
  saved()
  await until('a try', () => server.asked.filter(({ method }) => method !== 'GET').length >= 3)
  server.fault = () => undefined
  await until('the events and the condition', () => told().length === 2 && condition() !== undefined)
  t.ok(told().every(({ series }) => series === undefined))
})

t.test(
  'the condition has the instant of the checkpoint, and of the oldest of several containers',
  async (t) => {
    const { startAgent, condition, saved, line } = await openPod(t, { containers: ['app', 'side'] })
    startAgent()
    await until('the call', () => line.isOpen)
    saved({ id: later, atMs: atMs + 3_600_000 })
    saved({ id, atMs }, 'side')
    await until('the condition', () => condition() !== undefined)
    t.strictSame(condition(), {
      type: 'reprieve.dev/Checkpointed',
      status: 'True',
      reason: 'CheckpointTaken',
      message: `side: ${id}, app: ${later}`,
      lastTransitionTime: '2026-01-02T03:04:05Z',
    })
    saved({ id: later, atMs: atMs + 3_600_000 }, 'side')
    await until('the next', () => condition()?.lastTransitionTime === '2026-01-02T04:04:05Z')
  },
)

for (const reason of ['StartedFresh', 'NotProtected', 'Fenced'] as const)
  t.test(`${reason}: a replacement would not go on from what was saved before`, async (t) => {
    const { startAgent, condition, saved, tell } = await openPod(t)
    const { kill } = startAgent()
    saved()
    await until('the condition', () => condition()?.status === 'True')
    tell(reason)
    await until('its end', () => condition()?.status === 'False')
    t.match(condition(), { reason, message: 'container app: because of c' })
    await kill()
    startAgent()
    saved({ id: later, atMs })
    await until('the next checkpoint', () => condition()?.status === 'True')
    t.equal(condition()?.message, `app: ${later}`)
  })

t.test('the next agent hears what this one did not, and which checkpoints stand', async (t) => {
  const { startAgent, told, condition, saved, tell, line } = await openPod(t)
  const { kill } = startAgent()
  saved()
  await until('the condition', () => condition() !== undefined)
  await kill()
  await until('the agent to be missed', () => !line.isOpen)
  tell('MemoryRefused')
  startAgent()
  await until('what it missed', () => told().some(({ reason }) => reason === 'MemoryRefused'))
  t.equal(told().filter(({ reason }) => reason === 'CheckpointTaken').length, 2, 'told once')
  t.equal(condition()?.status, 'True')
})

t.test('a pod that has the name of another gets no condition of that', async (t) => {
  const { server, startAgent, saved, condition } = await openPod(t)
  const { metrics } = startAgent()
  server.fault = ({ method, path }) => {
    if (method === 'PATCH' && path.endsWith('/status'))
      server.objects.put('pods', podObject({ uid: uid.replace('1', '2'), name: 'p', plan: podPlan }))
    return undefined
  }
  saved()
  const failed = /reprieve_agent_writes_total{what="condition",outcome="failed"} 1/
  await until('the refusal', async () => failed.test(await metrics.registry.metrics()))
  t.equal(condition(), undefined)
})
