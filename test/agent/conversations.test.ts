/**
 * One recorded conversation of each version of the protocol (test/fixtures/agent-conversations): today's sidecar hears what an agent said then,
 * and today's agent what a sidecar did. Each answers as it was answered then, and says nothing that the other could not know.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { AgentMetrics } from '../../agent/metrics.ts'
import { NodeAgent } from '../../agent/node-agent.ts'
import { callSidecar } from '../../agent/pod-socket.ts'
import { protocols } from '../../src/agent/protocol.ts'
import { KubeServer } from '../kube/server.ts'
import { kubeTo, nodeName, nodeObject, podObject } from '../kube/stage.ts'
import { quietLog } from '../sidecar/quiet-log.ts'
import { podPlan } from '../sidecar/stand-ins.ts'
import { until } from '../until.ts'
import { listeningSidecar, podsFolder } from './pods-folder.ts'

const uid = '00000000-0000-4000-8000-000000000001'
const folder = new URL('../fixtures/agent-conversations/', import.meta.url)
type Line = { id?: number; re?: number; verb?: string; [field: string]: unknown }
type Said = { from: 'agent' | 'sidecar'; line: Line }

const conversations = readdirSync(folder).map((file) => {
  const version = Number(/^protocol-(\d+)\.jsonl$/.exec(file)?.[1])
  const lines = readFileSync(new URL(file, folder), 'utf8').trim().split('\n')
  return { version, said: lines.map((line) => JSON.parse(line) as Said) }
})
const isOf = (who: Said['from']) => (one: Said) => one.from === who
const lineOf = ({ line }: Said) => line
const inOrder = (lines: readonly Line[]) => [...lines].sort((one, other) => Number(one.re) - Number(other.re))

/** Keeps what the other side says. */
function hearing(t: Test, socket: Socket): { heard: Line[]; say: (line: object) => void } {
  const heard: Line[] = []
  let rest = ''
  t.teardown(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    heard.push(...lines.map((line) => JSON.parse(line) as Line))
  })
  return { heard, say: (line) => socket.write(`${JSON.stringify(line)}\n`) }
}

t.strictSame(conversations.map(({ version }) => version).sort(), [...protocols].sort(), 'one of each')

for (const { version, said } of conversations) {
  t.test(`a sidecar of today hears an agent of protocol ${version}`, async (t) => {
    const pods = podsFolder(t)
    const run = pods.addPod(uid)
    const { events } = await listeningSidecar(t, run, { podUid: uid, version: '0.2.0' })
    events.tell({ reason: 'Fenced', container: 'app', code: 'c', detail: 'd' })
    const { heard, say } = hearing(t, connect(`${run}/agent.sock`))
    const questions = said.filter(isOf('agent')).map(lineOf).filter(({ verb }) => verb !== undefined) // prettier-ignore
    const answers = said.filter(isOf('sidecar')).map(lineOf).filter(({ re }) => re !== undefined) // prettier-ignore
    for (const question of questions) say(question)
    const own = () => heard.filter(({ verb }) => verb !== undefined)
    await until('all answers', () => heard.length - own().length === answers.length)
    t.strictSame(inOrder(heard.filter(({ re }) => re !== undefined)), inOrder(answers))
    if (version >= 2) await until('the report', () => own().length === 1)
    t.strictSame(own().map(({ verb }) => verb), version >= 2 ? ['report'] : []) // prettier-ignore
  })

  t.test(`an agent of today hears a sidecar of protocol ${version}`, async (t) => {
    const pods = podsFolder(t)
    const run = pods.addPod(uid)
    const sockets: Socket[] = []
    const sidecar = createServer((socket) => void sockets.push(socket)).listen(`${run}/agent.sock`)
    t.teardown(() => sidecar.close())
    const server = await KubeServer.start(t)
    const metrics: AgentMetrics = new AgentMetrics(() => agent.counts)
    const call = (pod: string) => callSidecar(pods.path, pod)
    const agent: NodeAgent = new NodeAgent({ node: nodeName, version: '0.2.0', kube: kubeTo(server), call, metrics, log: quietLog }) // prettier-ignore
    const [container] = podPlan.containers
    const plan = { ...podPlan, containers: [{ ...container, memory: { ...container?.memory, maxBytes: 2 ** 32 } }] } // prettier-ignore
    const status = { containerStatuses: [{ name: 'app', resources: { limits: { memory: String(2 ** 31) } } }] } // prettier-ignore
    server.objects.put('nodes', nodeObject())
    server.objects.put('pods', podObject({ uid, name: 'p', plan, status }))
    const stop = new AbortController()
    const running = agent.run(stop.signal)
    t.teardown(() => (stop.abort(), running))

    await until('the call', () => sockets.length === 1)
    const [socket] = sockets
    if (socket === undefined) throw new Error('there is no call')
    const { heard, say } = hearing(t, socket)
    await until('hello', () => heard.length === 1)
    t.match(heard[0], { verb: 'hello', podUid: uid })
    const hello = said.filter(isOf('sidecar')).map(lineOf).find(({ re }) => re !== undefined) // prettier-ignore
    say({ ...hello, re: heard[0]?.id })
    await until('the disruptions', () => heard.some(({ verb }) => verb === 'disruptions'))
    const questions = said.filter(isOf('sidecar')).map(lineOf).filter(({ verb }) => verb !== undefined) // prettier-ignore
    const answers = said
      .filter(isOf('agent'))
      .map(lineOf)
      .filter(({ re }) => re !== undefined)
    for (const question of questions) say(question)
    const given = () => heard.filter(({ re }) => re !== undefined)
    await until('all answers', () => given().length === answers.length)
    t.strictSame(inOrder(given()), inOrder(answers))
    if (version >= 2) await until('the condition', () => JSON.stringify(server.objects.get('pods', 'ns', 'p')).includes('reprieve.dev/Checkpointed')) // prettier-ignore
  })
}
