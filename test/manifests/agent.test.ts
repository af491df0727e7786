/** The manifests of the node agent: valid, as restricted as they can be, and its account may do what it needs, on its own node only. */
import t from 'tap'
import { connectKube, refusalOf } from '../../agent/kube.ts'
import { judge, type Policy, type Rights, type Rule } from '../kube/rights.ts'
import { KubeServer } from '../kube/server.ts'
import { kubeConfigTo, nodeObject, podObject } from '../kube/stage.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from '../webhook/core-v1.ts'
import { rendered } from './rendered.ts'
import { problemsOfKubernetes } from './schemas.ts'

const objects = await rendered('agent')
const only = <T>(kind: string) => objects.find((object) => object.kind === kind) as unknown as T
const account = 'system:serviceaccount:reprieve-agent:reprieve-agent'
const rights: Rights = {
  rules: new Map([[account, only<{ rules: Rule[] }>('ClusterRole').rules]]),
  policies: [only<Policy>('ValidatingAdmissionPolicy')],
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

t.test('its account may list, watch and resize, and nothing else', async (t) => {
  const { rules } = only<{ rules: Rule[] }>('ClusterRole')
  const all = rules.flatMap(({ resources, verbs }) =>
    resources.map((resource) => `${resource} ${verbs.join()}`),
  )
  t.same(all.sort(), ['nodes list,watch', 'pods list,watch', 'pods/resize patch'])
})

t.test('it changes protected pods of its own node only, by the node that its token names', async (t) => {
  const resize = { verb: 'patch', resource: 'pods', subresource: 'resize', namespace: 'ns', name: 'p' }
  t.equal(judge(rights, by('node-1'), resize, pod('node-1')), undefined)
  t.match(judge(rights, by('node-1'), resize, pod('node-2')), /another node/)
  t.match(
    judge(rights, by(undefined), resize, pod('node-1')),
    /another node/,
    'a token that is bound to no node',
  )
  t.match(
    judge(rights, by('node-1'), resize, pod('node-1', { spec: { initContainers: [] } })),
    /not protected/,
  )
  t.match(judge(rights, by('node-1'), { ...resize, subresource: undefined }, pod('node-1')), /cannot patch/)
  t.match(judge(rights, by('node-1', 'somebody'), resize, pod('node-1')), /cannot patch/)
})

t.test('what the agent asks for is allowed, and with the token of another node refused', async (t) => {
  const accounts = new Map([1, 2].map((at) => [`token-${at}`, { name: account, node: `node-${at}` }]))
  const server = await KubeServer.start(t, { accounts, rights })
  server.objects.put('nodes', nodeObject())
  server.objects.put('pods', pod('node-1'))
  const [own, other] = [1, 2].map((at) => connectKube(kubeConfigTo(server, `token-${at}`)))
  const named = { namespace: 'ns', name: 'on-node-1' }
  const patch = { spec: { containers: [{ name: 'app', resources: { requests: { memory: '2Gi' }, limits: { memory: '2Gi' } } }] } } // prettier-ignore
  t.match(await own?.list({ kind: 'pods', fieldSelector: 'spec.nodeName=node-1' }, '0'), { items: [{}] })
  t.match(await own?.list({ kind: 'nodes', fieldSelector: 'metadata.name=node-1' }, '0'), { items: [{}] })
  const stop = new AbortController()
  const watching = own?.watch({ kind: 'pods', fieldSelector: '' }, String(server.objects.version), () => stop.abort(), stop.signal) // prettier-ignore
  const refused = await other?.resizePod(named, patch).catch(refusalOf)
  t.match(refused, /the pod runs on another node than the agent/)
  await own?.resizePod(named, patch)
  t.equal(server.objects.get('pods', 'ns', 'on-node-1')?.metadata.generation, 2)
  await watching?.catch(() => undefined)
  await t.rejects(connectKube(kubeConfigTo(server, 'nobody')).list({ kind: 'pods', fieldSelector: '' }, '0'))
})
