/** Pods that other injectors have been at: they keep all that these gave them, and the application is what is protected. */
import t from 'tap'
import { decide } from '../../webhook/decide.ts'
import { mutate } from '../../webhook/mutate.ts'
import type { Pod } from '../../webhook/pod.ts'
import { sampleConfig, samplePod } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { inject, unnamed } from './patched-pod.ts'

const config = sampleConfig()
const application = { name: 'main', image: 'ml-app:1', command: ['python3', 'train.py'] }
const proxy = (name: string, more: object = {}) => ({ name, image: `${name}:1`, args: ['proxy'], ...more })
const native = { restartPolicy: 'Always', startupProbe: { httpGet: { path: '/ready', port: 15021 } } }
const redirect = (name: string) => ({
  name,
  image: 'iptables:1',
  securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
})

/** As istio 1.2x, linkerd 2.1x and owners leave them. */
const pods: Record<string, Pod> = {
  'istio, its proxy first, which says what the default container is': samplePod({
    annotations: { 'kubectl.kubernetes.io/default-container': 'main', 'sidecar.istio.io/status': '{}' },
    spec: { containers: [proxy('istio-proxy'), application], initContainers: [redirect('istio-init')] },
  }),
  'istio, its proxy first, which says nothing': samplePod({
    spec: { containers: [proxy('istio-proxy'), application], initContainers: [redirect('istio-init')] },
  }),
  'istio with a native sidecar': samplePod({
    spec: {
      containers: [application],
      initContainers: [redirect('istio-init'), proxy('istio-proxy', native)],
    },
  }),
  'linkerd, its proxy first, which says nothing': samplePod({
    spec: { containers: [proxy('linkerd-proxy'), application], initContainers: [redirect('linkerd-init')] },
  }),
  'linkerd with a native sidecar': samplePod({
    spec: {
      containers: [application],
      initContainers: [redirect('linkerd-init'), proxy('linkerd-proxy', native)],
    },
  }),
  'a native sidecar of its own': samplePod({
    spec: { containers: [application], initContainers: [{ name: 'prepare' }, proxy('logs', native)] },
  }),
}

t.test('the application is protected, beside whatever else there is', async (t) => {
  for (const [name, pod] of Object.entries(pods)) {
    const injection = inject(pod, config)
    if (injection === undefined) throw new Error(`${name}: not injected`)
    const { after, plan } = injection
    t.same(
      plan.containers.map((container) => container.name),
      ['main'],
      name,
    )
    t.same([...problemsOfCoreV1('Pod', after), ...problemsBeyondSchema(after)], [], name)
    t.strictSame(unnamed(after, ['main']), unnamed(pod, ['main']), `${name}: nothing else is touched`)
    const theirs = (pod.spec.initContainers ?? []).map((container) => container.name)
    const all = after.spec.initContainers?.map((container) => container.name)
    t.same(
      all,
      ['reprieve-restore', 'reprieve-sidecar', ...theirs],
      `${name}: ours first, theirs in their order`,
    )
  }
})

t.test(
  'a webhook that comes after us makes the API server ask again, and nothing is changed twice',
  async (t) => {
    for (const [name, pod] of Object.entries(pods)) {
      const injection = inject(pod, config)
      if (injection === undefined) throw new Error(`${name}: not injected`)
      const { after, plan, commands } = injection
      after.spec.containers.unshift(proxy('istio-proxy-of-the-second-pass'))
      after.spec.initContainers?.unshift(redirect('cni-of-the-second-pass'))
      after.metadata.labels = { ...after.metadata.labels, 'security.istio.io/tlsMode': 'istio' }
      t.match(
        decide(after, { namespace: 'ml-team', optedInBy: 'pod' }, config),
        { outcome: 'skip', reasons: ['already-injected'], warnings: [] },
        name,
      )
      t.same(mutate(after, { plan, commands }, config).operations, [], name)
    }
  },
)

t.test('a pod with nothing but a proxy protects that, if it is asked to', async (t) => {
  const alone = samplePod({ spec: { containers: [proxy('istio-proxy', { command: ['pilot-agent'] })] } })
  t.same(
    inject(alone, config)?.plan.containers.map(({ name }) => name),
    ['istio-proxy'],
  )
})

t.test('several containers are protected, each by its own name, and with its own hook', async (t) => {
  const containers = ['a', 'b', 'c'].map((name) => ({
    name,
    command: [`/${name}`],
    lifecycle: { preStop: { exec: { command: [`/stop-${name}`] } } },
  }))
  const pod = samplePod({ annotations: { 'reprieve.dev/containers': 'c, a' }, spec: { containers } })
  const injection = inject(pod, config)
  t.same(
    injection?.plan.containers.map(({ name }) => name),
    ['a', 'c'],
  )
  const prints = injection?.plan.containers.map(({ fingerprint }) => fingerprint)
  t.equal(new Set(prints).size, 2)
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const container = injection?.after.spec.containers[index]
    if (name === 'b') t.strictSame(container, containers[1])
    else {
      t.same(container?.command?.slice(2), [`--container=${name}`, '--', `/${name}`])
      const hook = container?.lifecycle?.preStop?.exec?.command
      t.match(hook, ['/reprieve/bin/launcher', 'prestop', `--container=${name}`])
      t.equal(hook?.at(-1), `/stop-${name}`)
    }
  }
})
