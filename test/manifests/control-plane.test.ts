/** How the webhook itself runs: apart, unprivileged, reachable, and not before its time. */
import t from 'tap'
import { parse } from 'yaml'
import { objectsIn, rendered } from './rendered.ts'

type Container = {
  name: string
  ports?: { name: string; containerPort: number }[]
  resources: { requests: Record<string, string>; limits: Record<string, string> }
  securityContext: Record<string, unknown>
  lifecycle?: { preStop?: { sleep?: { seconds: number } } }
}
type Spread = Record<string, unknown> & { topologyKey: string; labelSelector: object }
type PodSpec = {
  containers: Container[]
  volumes: Record<string, unknown>[]
  securityContext: Record<string, unknown>
  topologySpreadConstraints: Spread[]
  nodeSelector: Record<string, string>
  priorityClassName: string
  terminationGracePeriodSeconds: number
}
type Deployment = {
  spec: {
    replicas: number
    selector: { matchLabels: Record<string, string> }
    template: { metadata: { annotations: Record<string, string> }; spec: PodSpec }
  }
}

const base = await rendered('base')
const of = (kind: string, name?: string) =>
  base.find(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  ) as unknown
const { spec } = of('Deployment', 'reprieve-webhook') as Deployment
const pod = spec.template.spec
const certs = (of('Deployment', 'reprieve-certs') as Deployment).spec
const { containers } = pod
const labels = spec.selector.matchLabels
const portOf = (name: string) =>
  containers.flatMap(({ ports = [] }) => ports).find((port) => port.name === name)?.containerPort

t.test('it meets the Pod Security level restricted, which its namespace enforces', async (t) => {
  const namespace = of('Namespace') as { metadata: { labels: Record<string, string> } }
  t.equal(namespace.metadata.labels['pod-security.kubernetes.io/enforce'], 'restricted')
  // https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
  const allowed = new Set(
    'configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret'.split(' '),
  )
  for (const { securityContext: ofPod, containers, volumes, ...others } of [pod, certs.template.spec]) {
    t.match(ofPod, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) t.notOk(Object.hasOwn(others, field))
    for (const { name, securityContext } of containers)
      t.same(
        securityContext,
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        name,
      )
    for (const volume of volumes)
      t.ok(
        Object.keys(volume).every((field) => field === 'name' || allowed.has(field)),
        String(volume.name),
      )
  }
})

t.test(
  'no two replicas share a node while another one takes pods, and a cluster of one node has both',
  async (t) => {
    const [node, zone, ...more] = pod.topologySpreadConstraints
    t.same(more, [])
    t.match(node, {
      topologyKey: 'kubernetes.io/hostname',
      maxSkew: 1,
      whenUnsatisfiable: 'DoNotSchedule',
      // A node that takes no pods would count as an empty one, for which a replica would wait in vain.
      nodeTaintsPolicy: 'Honor',
      // The pods of the old template must not keep those of the new one from their nodes.
      matchLabelKeys: ['pod-template-hash'],
    })
    t.match(zone, { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' })
    for (const { labelSelector } of pod.topologySpreadConstraints)
      t.same(labelSelector, { matchLabels: labels })
    t.equal(pod.nodeSelector['kubernetes.io/os'], 'linux')
  },
)

t.test(
  'its priority is admitted where a quota must allow it, with a replica more of each for a rollout',
  async (t) => {
    const quota = of('ResourceQuota') as { spec: { hard: { pods: string }; scopeSelector: object } }
    t.same(quota.spec.scopeSelector, {
      matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: [pod.priorityClassName] }],
    })
    t.equal(certs.template.spec.priorityClassName, pod.priorityClassName)
    t.ok(Number(quota.spec.hard.pods) >= spec.replicas + 1 + certs.replicas + 1)
  },
)

t.test(
  'a replica that ends is still there while others learn that it does, and has time for the rest',
  async (t) => {
    const [webhook] = pod.containers
    const seconds = webhook?.lifecycle?.preStop?.sleep?.seconds ?? 0
    t.ok(seconds >= 3, `${seconds} s`)
    const config = parse((of('ConfigMap') as { data: Record<string, string> }).data['config.yaml'] ?? '') as {
      listen: { drain?: string }
    }
    const drainSeconds = Number(/^(\d+)s$/.exec(config.listen.drain ?? '10s')?.[1])
    t.ok(pod.terminationGracePeriodSeconds > seconds + drainSeconds)
  },
)

t.test('the network lets in admission and metrics, and out what the webhook asks', async (t) => {
  type Port = { port: number | string; protocol?: string }
  type Rule = { from?: object[]; to?: object[]; ports: Port[] }
  const policy = (
    of('NetworkPolicy', 'reprieve-webhook') as {
      spec: { podSelector: object; ingress: Rule[]; egress: Rule[] }
    }
  ).spec
  t.same(policy.podSelector, { matchLabels: labels })
  const [admission, metrics, ...more] = policy.ingress
  t.same(more, [])
  // From anywhere: no selector can name an API server.
  t.same(admission, { ports: [{ port: 'admission' }] })
  t.equal(portOf('admission'), 8443)
  t.match(metrics, { from: [{ namespaceSelector: {} }], ports: [{ port: 'admin' }] })
  t.equal(String(portOf('admin')), spec.template.metadata.annotations['prometheus.io/port'])
  const out = policy.egress.flatMap(({ ports }) =>
    ports.map(({ port, protocol = 'TCP' }) => `${port}/${protocol}`),
  )
  t.same(out, ['53/UDP', '53/TCP', '443/TCP', '6443/TCP'])
  t.notOk(out.includes('80/TCP'), 'which is where metadata services answer')
  const [service] = objectsIn('base/service.yaml')
  t.match(service, { spec: { selector: labels, ports: [{ port: 443, targetPort: 'admission' }] } })
})
