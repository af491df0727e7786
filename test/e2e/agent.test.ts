/**
 * The node agent in front of real pods: an API server that keeps the real protocol says what happens, a kubelet does it, and the agent is a
 * process of its own outside the pods, as in a cluster.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cgroupVersion } from '../harness/cgroup.ts'
import { poll } from '../harness/deadline.ts'
import type { Pod } from '../harness/pod.ts'
import { Kubelet } from '../kube/kubelet.ts'
import { KubeServer } from '../kube/server.ts'
import { nodeName, nodeObject, resourcesOf } from '../kube/stage.ts'
import { sumOf, undisturbedSum } from './memory.ts'
import { application, deadlineMs, numbersIn, openStage, podOf, sidecar, sidecarEntries, statusOf, type Stage } from './support.ts' // prettier-ignore

const step = /^step (\d+) /
const steps = { command: ['/app/steps', '100000', '20'] }
const takenLine = /"a checkpoint was taken"/
const called = /"the node agent has called"/

type Cluster = { server: KubeServer; kubelet: Kubelet; startAgent: () => Promise<ChildProcess> }

async function openCluster(t: Test, stage: Stage): Promise<Cluster> {
  const server = await KubeServer.start(t)
  server.objects.put('nodes', nodeObject())
  const kubelet = new Kubelet(server, nodeName)
  t.teardown(() => kubelet.stop())
  const file = join(stage.folder, 'kubeconfig')
  const [cluster, user] = [{ server: server.url, 'insecure-skip-tls-verify': true }, { token: 'token' }]
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Config', 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }], clusters: [{ name: 'k', cluster }], users: [{ name: 'u', user }] })) // prettier-ignore
  const log = openSync(join(stage.folder, 'agent.log'), 'a')
  t.teardown(() => {
    if (!t.passing()) process.stderr.write(readFileSync(join(stage.folder, 'agent.log')))
    closeSync(log)
  })
  const startAgent = async () => {
    const words = ['--pods', join(stage.node.dir, 'pods'), '--port', '0', '--kubeconfig', file]
    // Should the test process die, the agent does, too.
    const argv = ['--pdeathsig', 'KILL', '--', process.execPath, 'agent/main.ts', ...words]
    const env = { ...process.env, REPRIEVE_NODE_NAME: nodeName }
    const child = spawn('setpriv', argv, { stdio: ['ignore', log, log], env })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child, 'spawn')
    return child
  }
  return { server, kubelet, startAgent }
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

/** Runs until its tenth step, and until the agent has called its sidecar. */
async function runStepping({ kubelet }: Cluster, stage: Stage): Promise<Pod> {
  const pod = await stage.run(podOf(steps))
  kubelet.bind(pod)
  await pod.waitForLog(sidecar, called, { deadlineMs })
  await pod.waitForLog(application, step, { nth: 10, deadlineMs })
  return pod
}

/**
 * Fills 128 MiB and more, by 20 MiB a second where there is no throttle to wait for more: a busy machine takes its time. From when the agent has called its sidecar on: before that nobody could give it more.
 */
async function runFilling(
  { kubelet }: Cluster,
  stage: Stage,
  [mebibytes = '', ...more]: string[],
): Promise<Pod> {
  const fill = ['/app/fill', mebibytes, '1', cgroupVersion === 2 ? '0' : '50000', ...more]
  const command = ['sh', '-c', `until [ -e /go ]; do sleep 0.1; done; exec ${fill.join(' ')}`]
  const pod = await stage.run(podOf({ command, resources: { limits: { memory: '128Mi' } } }))
  kubelet.bind(pod)
  await pod.waitForLog(sidecar, called, { deadlineMs })
  await pod.exec(application, ['touch', '/go'])
  return pod
}

const takenBy = (pod: Pod, trigger: string) =>
  sidecarEntries(pod).filter((entry) => entry.msg === 'a checkpoint was taken' && entry.trigger === trigger)

t.test(
  'a disruption that is announced is answered by a checkpoint, a deletion by the last one, and no step is lost',
  async (t) => {
    const stage = await openStage(t, { programs: ['steps.c'] })
    const cluster = await openCluster(t, stage)
    const { server, kubelet, startAgent } = cluster
    const agent = await startAgent()
    const pod = await runStepping(cluster, stage)
    t.match((await statusOf(pod)) as object, { agent: { node: nodeName } })

    kubelet.disrupt(pod, 'EvictionByEvictionAPI')
    await pod.waitForLog(sidecar, takenLine, { deadlineMs })
    t.match(takenBy(pod, 'disruption'), [{ ended: false }], 'the application runs on')
    kubelet.disrupt(pod, undefined)
    await pod.waitForLog(sidecar, /"a notice was withdrawn"/, { deadlineMs })

    // Away, and what is said meanwhile is heard by the next one.
    await killed(agent)
    await pod.waitForLog(sidecar, /"the node agent is away"/, { deadlineMs })
    const before = numbersIn(pod, step).length
    server.objects.put('nodes', nodeObject({ taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] })) // prettier-ignore
    await pod.waitForLog(application, step, { nth: before + 10, deadlineMs })
    await startAgent()
    await pod.waitForLog(sidecar, /"trigger":"disruption".*"a checkpoint was taken"/, { nth: 2, deadlineMs })

    await kubelet.delete(pod)
    t.equal(takenBy(pod, 'prestop').length, 1, 'the last one is asked for by preStop')
    const last = numbersIn(pod, step).at(-1) ?? 0
    server.objects.put('nodes', nodeObject())
    const next = await stage.run(podOf(steps))
    kubelet.bind(next)
    const line = await next.waitForLog(application, step, { deadlineMs })
    const told = (name: string, reason: string) =>
      server.objects.all('events').some((one) => one.reason === reason && (one.regarding as { name: string }).name === name) // prettier-ignore
    await poll('the events', deadlineMs, () => told(pod.name, 'CheckpointTaken') && told(next.name, 'Restored') ? true : undefined) // prettier-ignore
    await poll('the condition', deadlineMs, () => JSON.stringify(server.objects.get('pods', 'tests', next.name)).includes('reprieve.dev/Checkpointed') ? true : undefined) // prettier-ignore
    t.equal(Number(step.exec(line.text)?.[1]), last + 1, 'it goes on at the very next step')
    await next.waitForLog(sidecar, called, { deadlineMs })
  },
)

t.test(
  'an application that fills its memory is given more by pods/resize, and ends as if it had always had it',
  async (t) => {
    const stage = await openStage(t, { programs: ['fill.c'] })
    const cluster = await openCluster(t, stage)
    await cluster.startAgent()
    const pod = await runFilling(cluster, stage, ['240'])
    await pod.waitForLog(application, /^done$/, { deadlineMs })
    t.equal(sumOf(pod), await undisturbedSum(240), 'every byte is what it was')
    await pod.ended
    t.equal(pod.container(application).attempts, 1, 'it was never restarted')
    const patches = cluster.server.asked.filter(
      ({ method, path }) => method === 'PATCH' && path.startsWith('/api/v1/'),
    )
    t.ok(patches.length >= 2 && patches.every(({ path }) => path.endsWith(`/pods/${pod.name}/resize`)), JSON.stringify(patches)) // prettier-ignore
    t.strictSame(await stage.manifests(), [], 'no checkpoint was needed')
  },
)

t.test('where the node has no room, it is told why, and a checkpoint is kept', async (t) => {
  const stage = await openStage(t, { programs: ['fill.c'], allocatableMiB: 160 })
  const cluster = await openCluster(t, stage)
  await cluster.startAgent()
  const pod = await runFilling(cluster, stage, ['118', 'then-hold'])
  await pod.waitForLog(sidecar, /can have no more: it goes on with a checkpoint kept/, { deadlineMs })
  t.match((await statusOf(pod)).memory, [{ lastAnswer: { did: 'checkpoint', why: /the kubelet says Infeasible/ } }]) // prettier-ignore
  const limit = () => resourcesOf(cluster.server, 'tests', pod.name).limits.memory
  await poll('the wish to be taken back', deadlineMs, () =>
    limit() === String(128 * 2 ** 20) ? true : undefined,
  )
  await pod.waitForLog(application, /^done$/, { deadlineMs })
  t.equal((await stage.manifests()).length, 1)
  await pod.delete()
})
