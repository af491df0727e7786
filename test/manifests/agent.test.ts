/** The manifests of the node agent: valid, as restricted as they can be, and its account may do what it needs, on its own node only. */
import t from 'tap'
import { connectKube, instantOf, refusalOf } from '../../agent/kube.ts'
import type { KubeObject } from '../kube/objects.ts'
import { judge, type Policy, type Rights, type Rule } from '../kube/rights.ts'
import { KubeServer } from '../kube/server.ts'
import { kubeConfigTo, nodeObject, podObject } from '../kube/stage.ts'
import { coreV1Fields, problemsBeyondSchema, problemsOfCoreV1 } from '../webhook/core-v1.ts'
import { rendered } from './rendered.ts'
import { problemsOfKubernetes } from './schemas.ts'

const objects = await rendered('agent')
const only = <T>(kind: string) => objects.find((object) => object.kind === kind) as unknown as T
const account = 'system:serviceaccount:reprieve-agent:reprieve-agent'
const rights: Rights = {
  rules: new Map([[account, only<{ rules: Rule[] }>('ClusterRole').rules]]),
  policies: objects.filter(({ kind }) => kind === 'ValidatingAdmissionPolicy') as unknown as Policy[],
}
const pod = (node: string, more: object = {}) =>
  podObject({ uid: '00000000-0000-4000-8000-000000000001', name: `on-${node}`, node, ...more })
const by = (node: string | undefined, name = account) => ({ name, node })

t.test('they are valid', async (t) => {
  t.same(await problemsOfKubernetes(objects), [])
  const { template } = only<{ spec: { template: Parameters<typeof problemsBeyondSchema>[0] } }>(
    'DaemonSet',
  ).spec
  t.same(problemsOfCoreV1('PodTemplateSpec', template), [])
  t.same(problemsBeyondSchema(template), [])
})

t.test('the agent has no capability, one path of the host, and no namespace of the host', async (t) => {
  type Volume = { hostPath?: { path: string } }
  type PodSpec = { containers: { securityContext: object; volumeMounts: { name: string; readOnly?: boolean; mountPropagation?: string }[]; command: string[] }[]; volumes: Volume[] } // prettier-ignore
  const { spec } = only<{ spec: { template: { spec: PodSpec } } }>('DaemonSet').spec.template
  t.notOk(['hostPID', 'hostNetwork', 'hostIPC'].some((name) => name in spec))
  t.same(
    spec.volumes.flatMap(({ hostPath }) => hostPath?.path ?? []),
    ['/var/lib/kubelet/pods'],
  )
  const [container] = spec.containers
  t.match(container?.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }) // prettier-ignore
  t.ok(container?.volumeMounts.every(({ readOnly }) => readOnly === true))
  const ofHost = container?.volumeMounts.find(({ name }) => name === 'pods')
  // Otherwise the agent keeps each volume of the node mounted that was mounted when it began: its disk cannot be detached.
  t.equal(ofHost?.mountPropagation, 'HostToContainer')
  t.ok(container?.command.includes('/opt/reprieve/agent/main.js'))
})

t.test('its account may do what it needs, and nothing else', async (t) => {
  const { rules } = only<{ rules: Rule[] }>('ClusterRole')
  const all = rules.flatMap(({ resources, verbs }) =>
    resources.map((resource) => `${resource} ${verbs.join()}`),
  )
  t.same(all.sort(), [
    'events create,patch',
    'nodes list,watch',
    'pods list,watch',
    'pods/resize patch',
    'pods/status patch',
  ])
})

const patch = (subresource: string | undefined) =>
  ({ verb: 'patch', group: '', resource: 'pods', subresource, namespace: 'ns', name: 'p' }) as const
const unchanged = (object: KubeObject) => ({ object, before: object })

t.test('it changes protected pods of its own node only, by the node that its token names', async (t) => {
  for (const subresource of ['resize', 'status']) {
    const asked = patch(subresource)
    t.equal(judge(rights, by('node-1'), asked, unchanged(pod('node-1'))), undefined)
    t.match(judge(rights, by('node-1'), asked, unchanged(pod('node-2'))), /another node/)
    t.match(judge(rights, by(undefined), asked, unchanged(pod('node-1'))), /another node/, 'bound to no node')
    const unprotected = pod('node-1', { spec: { initContainers: [] } })
    t.match(judge(rights, by('node-1'), asked, unchanged(unprotected)), /not protected/)
    t.match(judge(rights, by('node-1', 'somebody'), asked, unchanged(pod('node-1'))), /cannot patch/)
  }
  t.match(judge(rights, by('node-1'), patch(undefined), unchanged(pod('node-1'))), /cannot patch/)
})

t.test('of the status of a pod it changes one condition', async (t) => {
  const ready = { type: 'Ready', status: 'True' }
  const own = { type: 'reprieve.dev/Checkpointed', status: 'True' }
  const before = pod('node-1', { status: { conditions: [ready], containerStatuses: [{ name: 'app', ready: true }] } }) // prettier-ignore
  const judged = (object: KubeObject) => judge(rights, by('node-1'), patch('status'), { object, before })
  const status = (more: object) => ({ ...before, status: { ...(before.status as object), ...more } })
  t.equal(judged(status({ conditions: [ready, own] })), undefined)
  t.equal(judged(status({ conditions: [own, ready] })), undefined)
  t.match(judged(status({ conditions: [{ ...ready, status: 'False' }, own] })), /only the condition/)
  t.match(judged(status({ conditions: [own] })), /only the condition/)
  t.match(judged(status({ conditions: undefined })), /only the condition/)
  t.match(judged(status({ phase: 'Succeeded' })), /only a condition/)
  t.match(judged(status({ containerStatuses: [{ name: 'app', ready: false }] })), /only a condition/)
  t.match(judged(status({ podIPs: [{ ip: '10.0.0.1' }] })), /only a condition/)
  const fields = coreV1Fields('PodStatus').filter((name) => name !== 'conditions')
  t.ok(fields.length >= 20)
  for (const field of fields) {
    t.match(judged(status({ [field]: ['another'], conditions: [ready, own] })), /only a condition/, field)
    const filled = { ...before, status: { ...(before.status as object), [field]: ['another'] } }
    const emptied = { ...before, status: { ...(before.status as object), [field]: undefined } }
    t.match(judge(rights, by('node-1'), patch('status'), { object: emptied, before: filled }), /only a condition/, field) // prettier-ignore
  }
  for (const more of [{ labels: { a: 'b' } }, { annotations: { a: 'b' } }, { finalizers: ['a/b'] }])
    t.match(judged({ ...before, metadata: { ...before.metadata, ...more } }), /metadata/)
})

const askedOfEvents = (verb: string) =>
  ({ verb, group: 'events.k8s.io', resource: 'events', subresource: undefined, namespace: 'ns', name: 'e' }) as const // prettier-ignore
const eventBy = (reportingInstance: string, reportingController = 'reprieve.dev/agent') =>
  ({ apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: pod('node-1').metadata, reportingInstance, reportingController }) as KubeObject // prettier-ignore

t.test('it writes Events in the name of its own node, and counts its own only', async (t) => {
  const create = (object: KubeObject, node: string | undefined = 'node-1') =>
    judge(rights, by(node), askedOfEvents('create'), { object, before: undefined })
  t.equal(create(eventBy('node-1')), undefined)
  t.match(create(eventBy('node-2')), /not of the agent/)
  t.match(create(eventBy('node-1', 'kubelet')), /not of the agent/)
  t.match(
    judge(rights, by(undefined), askedOfEvents('create'), { object: eventBy('node-1'), before: undefined }),
    /not of/,
  )
  const count = (before: KubeObject) => judge(rights, by('node-1'), askedOfEvents('patch'), { object: eventBy('node-1'), before }) // prettier-ignore
  t.equal(count(eventBy('node-1')), undefined)
  t.match(count(eventBy('node-2')), /not of the agent/)
  t.match(count(eventBy('node-1', 'kubelet')), /not of the agent/)
  t.match(judge(rights, by('node-1'), askedOfEvents('delete'), unchanged(eventBy('node-1'))), /cannot delete/)
})

t.test('what the agent asks for is allowed, and with the token of another node refused', async (t) => {
  const accounts = new Map([1, 2].map((at) => [`token-${at}`, { name: account, node: `node-${at}` }]))
  const server = await KubeServer.start(t, { accounts, rights })
  server.objects.put('nodes', nodeObject())
  server.objects.put('pods', pod('node-1'))
  const [own, other] = [1, 2].map((at) => connectKube(kubeConfigTo(server, `token-${at}`)))
  const named = { namespace: 'ns', name: 'on-node-1' }
  const wish = { spec: { containers: [{ name: 'app', resources: { requests: { memory: '2Gi' }, limits: { memory: '2Gi' } } }] } } // prettier-ignore
  t.match(await own?.list({ kind: 'pods', fieldSelector: 'spec.nodeName=node-1' }, '0'), { items: [{}] })
  t.match(await own?.list({ kind: 'nodes', fieldSelector: 'metadata.name=node-1' }, '0'), { items: [{}] })
  const stop = new AbortController()
  const watching = own?.watch({ kind: 'pods', fieldSelector: '' }, String(server.objects.version), () => stop.abort(), stop.signal).catch(() => undefined) // prettier-ignore
  const refused = await other?.resizePod(named, wish).catch(refusalOf)
  t.match(refused, /the pod runs on another node than the agent/)
  await own?.resizePod(named, wish)
  t.equal(server.objects.get('pods', 'ns', 'on-node-1')?.metadata.generation, 2)
  const status = { status: { conditions: [{ type: 'reprieve.dev/Checkpointed', status: 'True' }] } }
  t.match(await other?.patchPodStatus(named, status).catch(refusalOf), /another node/)
  await own?.patchPodStatus(named, status)
  const regarding = { apiVersion: 'v1', kind: 'Pod', ...named, uid: 'u' }
  const event = { name: 'e', atMs: Date.now(), reason: 'Restored', type: 'Normal', action: 'Restore', note: 'n', node: 'node-1', regarding, related: undefined } // prettier-ignore
  t.match(await other?.createEvent(event).catch(refusalOf), /not of the agent of this node/)
  await own?.createEvent(event)
  const series = { series: { count: 2, lastObservedTime: instantOf(Date.now()) } }
  t.match(
    await other?.patchEvent({ namespace: 'ns', name: 'e' }, series).catch(refusalOf),
    /not of the agent/,
  )
  await own?.patchEvent({ namespace: 'ns', name: 'e' }, series)
  t.match(server.objects.all('events'), [series])
  await watching
  await t.rejects(connectKube(kubeConfigTo(server, 'nobody')).list({ kind: 'pods', fieldSelector: '' }, '0'))
})
