/** The whole agent and the sidecar's side of the conversation, over real sockets, with an API server that keeps the real protocol. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { AgentMetrics } from '../../agent/metrics.ts'
import { NodeAgent } from '../../agent/node-agent.ts'
import { callSidecar } from '../../agent/pod-socket.ts'
import { KubeServer } from '../kube/server.ts'
import { kubeTo, nodeName, nodeObject, podObject, resourcesOf } from '../kube/stage.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { podPlan } from '../sidecar/stand-ins.ts'
import { until } from '../until.ts'
import { listeningSidecar, podsFolder, type PodsFolder } from './pods-folder.ts'

const uid = (at: number) => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`
const gibibyte = 2 ** 30
const [container] = podPlan.containers
const plan = { ...podPlan, containers: [{ ...container, memory: { ...container?.memory, answer: 'grow', maxBytes: 4 * gibibyte } }] } // prettier-ignore

async function openNode(t: Test) {
  const server = await KubeServer.start(t)
  const folder = podsFolder(t)
  server.objects.put('nodes', nodeObject())
  return { server, folder, agent: startAgent(t, server, folder) }
}

function startAgent(t: Test, server: KubeServer, folder: PodsFolder) {
  const metrics: AgentMetrics = new AgentMetrics(() => agent.counts)
  const agent: NodeAgent = new NodeAgent({
    node: nodeName,
    version: '0.0.2',
    kube: kubeTo(server),
    call: (uid) => callSidecar(folder.path, uid),
    metrics,
    log: quietLog,
    pausesMs: [5, 40],
  })
  const stop = new AbortController()
  const running = agent.run(stop.signal)
  const kill = () => (stop.abort(), running)
  t.teardown(kill)
  return { agent, metrics, kill }
}

const hello = (podUid: string) =>
  `${JSON.stringify({ id: 1, verb: 'hello', protocols: [1], podUid, agent: 'a', node: 'n' })}\n`

type Wish = Parameters<typeof podObject>[0]

async function protectedPod(
  t: Test,
  { server, folder }: { server: KubeServer; folder: PodsFolder },
  wish: Omit<Wish, 'uid'> = {},
) {
  // prettier-ignore
  const run = folder.addPod(uid(1))
  const sidecar = await listeningSidecar(t, run, { podUid: uid(1) })
  const object = (more: Omit<Wish, 'uid'> = {}) =>
    podObject({ uid: uid(1), name: 'p', plan, ...wish, ...more })
  server.objects.put('pods', object())
  await until('the call', () => sidecar.line.isOpen)
  return { ...sidecar, run, put: (more: Omit<Wish, 'uid'>) => server.objects.put('pods', object(more)) }
}

const target = {
  conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: 'm' }],
}

t.test('what Kubernetes says of a pod and its node is heard by its sidecar, and withdrawn', async (t) => {
  const { server, folder } = await openNode(t)
  const { heard, put, line, book } = await protectedPod(t, { server, folder })
  t.strictSame(line.status, { agent: '0.0.2', node: nodeName })
  await until('that nothing stands', () => heard.at(-1)?.length === 0)
  put({ status: target })
  await until('the condition', () => heard.at(-1)?.some(({ kind }) => kind === 'pod-disrupted'))
  t.match(heard.at(-1), [{ source: 'agent', certainty: 'likely', detail: 'm' }])
  put({})
  await until('its withdrawal', () => heard.at(-1)?.length === 0)
  server.objects.put(
    'nodes',
    nodeObject({ taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] }),
  )
  await until('the taint', () => heard.at(-1)?.some(({ kind }) => kind === 'node-leaving'))
  server.objects.put('nodes', nodeObject())
  await until('its end', () => heard.at(-1)?.length === 0)
  put({ metadata: { deletionTimestamp: '2026-01-02T03:04:35Z' } })
  await until('the deletion', () => heard.at(-1)?.some(({ kind }) => kind === 'pod-deleted'))
  t.match(book.states, [{ source: 'agent', reachable: true }])
  server.objects.remove('pods', 'ns', 'p')
  await until('the pod to be let go', () => !line.isOpen)
})

t.test('each side survives the other’s restart, and hears again what stands', async (t) => {
  const { server, folder, agent } = await openNode(t)
  const { heard, put, line, run } = await protectedPod(t, { server, folder })
  put({ status: target })
  await until('the condition', () => heard.at(-1)?.length === 1)
  await agent.kill()
  await until('the agent to be missed', () => !line.isOpen)
  t.equal(heard.at(-1)?.length, 1, 'what stood stands')
  startAgent(t, server, folder)
  await until('the next agent', () => line.isOpen)
  await line.stop()
  const next = await listeningSidecar(t, run, { podUid: uid(1) })
  await until('the next sidecar to be told', () => next.heard.at(-1)?.length === 1)
  t.ok(next.line.isOpen)
})

t.test('an agent that stays away has withdrawn everything', async (t) => {
  const { server, folder, agent } = await openNode(t)
  const run = folder.addPod(uid(1))
  const { heard, line } = await listeningSidecar(t, run, { podUid: uid(1), forgetMs: 30 })
  server.objects.put('pods', podObject({ uid: uid(1), status: target }))
  await until('the condition', () => heard.at(-1)?.length === 1)
  await agent.kill()
  await until('it to be forgotten', () => heard.at(-1)?.length === 0)
  t.notOk(line.isOpen)
})

t.test('an agent whose place another caller took, who says nothing, has stayed away as well', async (t) => {
  const folder = podsFolder(t)
  const run = folder.addPod(uid(1))
  const { heard, book } = await listeningSidecar(t, run, { podUid: uid(1), forgetMs: 30 })
  const agent = connect(`${run}/agent.sock`)
  const said = { id: 2, verb: 'disruptions', disruptions: [{ id: 'a', fact: 'cordon', detail: 'd' }] }
  agent.resume().write(`${hello(uid(1))}${JSON.stringify(said)}\n`)
  await until('what it says', () => heard.at(-1)?.length === 1)
  const next = connect(`${run}/agent.sock`)
  await until('the other to have its place', () => agent.closed)
  next.destroy()
  await until('what the agent said to be forgotten', () => heard.at(-1)?.length === 0)
  t.match(book.states, [{ source: 'agent', reachable: false }])
})

t.test('an API server that is away withdraws nothing, and what it says later is heard', async (t) => {
  const { server, folder } = await openNode(t)
  const { heard, put } = await protectedPod(t, { server, folder })
  put({ status: target })
  await until('the condition', () => heard.at(-1)?.length === 1)
  const before = heard.length
  server.away(true)
  await until('the watch to break', () => server.watches === 0)
  server.objects.compact()
  server.away(false)
  put({})
  await until('the withdrawal', () => heard.at(-1)?.length === 0)
  t.ok(heard.slice(before - 1, -1).every(({ length }) => length === 1))
})

t.test('a socket that leads elsewhere is not called', async (t) => {
  const folder = podsFolder(t)
  const [victim, own] = [folder.addPod(uid(1)), folder.addPod(uid(2))]
  const { line } = await listeningSidecar(t, victim, { podUid: uid(1) })
  const call = () => callSidecar(folder.path, uid(2))
  await t.rejects(call(), { code: 'ENOENT' }, 'none')
  symlinkSync(
    `${folder.path}/${uid(1)}/volumes/kubernetes.io~empty-dir/reprieve/run/agent.sock`,
    `${own}/agent.sock`,
  )
  await t.rejects(call(), /no socket|ELOOP/, 'a link to the socket of another pod')
  rmSync(`${own}/agent.sock`)
  writeFileSync(`${own}/agent.sock`, '')
  await t.rejects(call(), /no socket/, 'a file')
  const real = `${folder.path}/${uid(2)}/volumes/kubernetes.io~empty-dir/reprieve/run`
  renameSync(real, `${real}.aside`)
  symlinkSync(`${folder.path}/${uid(1)}/volumes/kubernetes.io~empty-dir/reprieve/run`, real)
  await t.rejects(call(), { code: 'ENOTDIR' }, 'a link to the folder of another pod')
  rmSync(real)
  mkdirSync(real)
  await t.rejects(callSidecar(folder.path, '../etc'), /is no UID/)
  t.notOk(line.isOpen)
})

t.test(
  'a process of the pod is not heard, and a sidecar refuses an agent that means another pod',
  async (t) => {
    const folder = podsFolder(t)
    const run = folder.addPod(uid(1))
    let pid = 42
    const { line, heard } = await listeningSidecar(t, run, { podUid: uid(1), peerPidsOf: async () => [pid] })
    const ask = async (text: string) => {
      const socket = connect(`${run}/agent.sock`)
      t.teardown(() => socket.destroy())
      socket.on('error', () => undefined)
      socket.write(text)
      let said = ''
      socket.setEncoding('utf8').on('data', (more: string) => (said += more))
      await until('an answer or the end', () => said !== '' || socket.closed)
      return said
    }
    t.equal(await ask(hello(uid(1))), '', 'closed without a word')
    pid = -1
    t.equal(await ask(hello(uid(1))), '')
    pid = 0
    t.match(JSON.parse(await ask(hello(uid(2)))), { re: 1, ok: false, why: /this is the pod/ })
    t.match(JSON.parse(await ask('{"id":7,"verb":"disruptions","disruptions":[]}\n')), { re: 7, ok: false, why: /hello/ }) // prettier-ignore
    t.equal(await ask('{"what":1}\n'), '', 'what is not of the protocol ends it')
    t.equal(await ask('x'.repeat(200_000)), '')
    t.same(heard, [])
    t.notOk(line.isOpen)
    t.match(JSON.parse(await ask(hello(uid(1)))), { re: 1, ok: true, protocol: 1, sidecar: '0.0.1' })
  },
)

t.test('an agent of a later version is understood as far as both are of one', async (t) => {
  const folder = podsFolder(t)
  const run = folder.addPod(uid(1))
  const { heard } = await listeningSidecar(t, run, { podUid: uid(1) })
  const socket = connect(`${run}/agent.sock`)
  t.teardown(() => socket.destroy())
  let said = ''
  socket.setEncoding('utf8').on('data', (text: string) => (said += text))
  const say = (line: object) => socket.write(`${JSON.stringify(line)}\n`)
  say({ id: 1, verb: 'hello', protocols: [1, 2, 3], podUid: uid(1), agent: '9', node: 'n', more: true })
  say({ id: 2, verb: 'tomorrow' })
  const known = { id: 'a', fact: 'cordon', detail: 'd', later: 1 }
  say({
    id: 3,
    verb: 'disruptions',
    disruptions: [known, { id: 'b', fact: 'a-new-one', detail: 'd' }],
    since: 1,
  })
  say({ id: 4, verb: 'disruptions', disruptions: 'none' })
  say({ id: 5, verb: 'ping' })
  await until('all answers', () => said.split('\n').length === 6)
  const answers = said
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { re: number })
  t.match(
    answers.sort((one, other) => one.re - other.re),
    [
      { re: 1, ok: true, protocol: 2 },
      { re: 2, ok: false, why: /no question of this version/ },
      { re: 3, ok: true, unknown: ['b'] },
      { re: 4, ok: false },
      { re: 5, ok: true },
    ],
  )
  t.match(heard, [[{ id: 'a', kind: 'node-cordoned' }]])
})

const refusal = (text: unknown) =>
  JSON.stringify({ re: (JSON.parse(String(text)) as { id: number }).id, ok: false, why: 'no' })

t.test('an agent leaves a sidecar in peace that refuses it or hangs, and calls again', async (t) => {
  const { server, folder } = await openNode(t)
  const run = folder.addPod(uid(1))
  let calls = 0
  const sidecar = createServer((socket) => {
    calls++
    socket.on('error', () => undefined)
    socket.once('data', (text) => socket.write(calls === 1 ? 'rubbish\n' : `${refusal(text)}\n`))
  })
  sidecar.listen(`${run}/agent.sock`)
  t.teardown(() => sidecar.close())
  server.objects.put('pods', podObject({ uid: uid(1) }))
  await until('several calls', () => calls >= 3)
  t.ok(calls >= 3)
})

t.test('more memory: the pod is patched, and it is told what the kubelet makes of it', async (t) => {
  const { server, folder, agent } = await openNode(t)
  const { line, put } = await protectedPod(t, { server, folder })
  const ask = (bytes: number) => line.grow('app', bytes, 20_000)
  const resources = () => resourcesOf(server, 'ns', 'p')
  const generation = () => server.objects.get('pods', 'ns', 'p')?.metadata.generation
  const pending = (reason: string) => ({ conditions: [{ type: 'PodResizePending', status: 'True', reason, message: 'no room', observedGeneration: generation() }] }) // prettier-ignore
  const kubelet = async (asked: Promise<unknown>, from: number, status: () => Record<string, unknown>) => {
    await until('the patch', () => generation() === from + 1)
    const { limits, requests } = resources()
    put({
      metadata: { generation: from + 1 },
      memory: { limit: limits.memory, request: requests.memory },
      status: status(),
    })
    return asked
  }
  const inForce = () => ({
    containerStatuses: [{ name: 'app', resources: { limits: { memory: String(2 * gibibyte) } } }],
  })
  t.match(await kubelet(ask(2 * gibibyte), 1, inForce), { outcome: 'accepted' })
  t.strictSame(resources(), {
    limits: { memory: String(2 * gibibyte) },
    requests: { memory: String(2 * gibibyte) },
  })
  t.match(await kubelet(ask(3 * gibibyte), 2, () => pending('Deferred')), { outcome: 'refused', why: /Deferred: no room/ }) // prettier-ignore
  t.match(await ask(3 * gibibyte), { outcome: 'refused', why: /Deferred/ }, 'asked for again, it is still')
  const beforeInfeasible = { limits: { memory: String(2 * gibibyte) } }
  const infeasible = () => ({
    ...pending('Infeasible'),
    containerStatuses: [{ name: 'app', resources: beforeInfeasible }],
  })
  t.match(await kubelet(ask(4 * gibibyte), 3, infeasible), {
    outcome: 'refused',
    why: /Infeasible: no room/,
  })
  t.equal(resources().limits.memory, String(2 * gibibyte), 'what never fits is taken back')
  t.match(await ask(5 * gibibyte), {
    outcome: 'refused',
    why: /its plan allows no more than 4294967296 bytes/,
  })
  t.match(await line.grow('other', gibibyte, 1_000), { outcome: 'refused', why: /no container other/ })
  server.refuseResize = () => 'exceeded quota: team, requested: limits.memory=3Gi'
  t.match(await ask(3 * gibibyte), { outcome: 'refused', why: /exceeded quota: team/ })
  const text = await agent.metrics.registry.metrics()
  for (const line of ['outcome="in-force"} 1', 'outcome="deferred"} 2', 'outcome="infeasible"} 1', 'outcome="refused"} 3']) t.match(text, line) // prettier-ignore
  t.match(text, 'reprieve_agent_reached_pods 1')
})

t.test(
  'one wish of a container is under way at a time, whatever a sidecar that was taken over asks',
  async (t) => {
    const { server, folder } = await openNode(t)
    const { line } = await protectedPod(t, { server, folder })
    let patches = 0
    server.refuseResize = () => (patches++, undefined)
    const asked = [1, 2, 3].map(() => line.grow('app', 2 * gibibyte, 3_000))
    t.match(await line.grow('app', 3 * gibibyte, 3_000), {
      outcome: 'refused',
      why: /another wish .* is under way/,
    })
    for (const answer of await Promise.all(asked)) t.match(answer, { why: /the kubelet has not said/ })
    t.equal(patches, 1)
    t.match(
      await line.grow('app', 3 * gibibyte, 3_000),
      { why: /the kubelet has not said/ },
      'the next may come',
    )
  },
)

t.test('the class of a pod stays: what it requests is raised only where it is its limit', async (t) => {
  const { server, folder } = await openNode(t)
  const { line } = await protectedPod(t, { server, folder }, { memory: { limit: '1Gi', request: '512Mi' } })
  const asked = line.grow('app', 2 * gibibyte, 1_000)
  const resources = () => resourcesOf(server, 'ns', 'p')
  await until('the patch', () => server.objects.get('pods', 'ns', 'p')?.metadata.generation === 2)
  t.strictSame(resources(), { limits: { memory: String(2 * gibibyte) }, requests: { memory: '512Mi' } })
  t.match(await asked, { outcome: 'refused', why: /the kubelet has not said/ })
})
