import t from 'tap'
import { parsePodPlan } from '../../src/pod-plan.ts'
import { restoreCapabilities } from '../../webhook/capabilities.ts'
import { decide } from '../../webhook/decide.ts'
import { mutate } from '../../webhook/mutate.ts'
import type { Pod } from '../../webhook/pod.ts'
import { defaultCapabilities } from '../harness/security.ts'
import { recordedReviews, sampleConfig, samplePod } from './admission-fixtures.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from './core-v1.ts'
import { inject, unnamed, type Injection } from './patched-pod.ts'

const config = sampleConfig()

function injected(pod: Pod, used = config): Injection {
  const injection = inject(pod, used)
  if (injection === undefined) throw new Error('the pod was not injected')
  return injection
}

type Ours = {
  name: string
  env: { name: string; value: string }[]
  securityContext: { capabilities: { add: string[]; drop: string[] } }
  resources: { limits?: Record<string, string>; requests?: Record<string, string> }
}
const ours = (pod: Pod) => (pod.spec.initContainers ?? []).slice(0, 2) as unknown as [Ours, Ours]
const grace = (terminationGracePeriodSeconds?: number) =>
  injected(samplePod({ spec: { terminationGracePeriodSeconds: terminationGracePeriodSeconds ?? null } }))
    .after.spec.terminationGracePeriodSeconds
const volume = (store: string) =>
  injected(samplePod({ annotations: { 'reprieve.dev/store': store } })).after.spec.volumes?.at(-1)

t.test('each recorded pod that is injected is valid and changed only in what is named', async (t) => {
  let count = 0
  for (const { name, request } of recordedReviews()) {
    if (request.operation !== 'CREATE' || request.kind.kind !== 'Pod') continue
    const pod = request.object as Pod
    const injection = inject(pod, config, 'namespace', request.namespace ?? '')
    if (injection === undefined) continue
    count++
    const { after, plan, commands } = injection
    t.same(problemsOfCoreV1('Pod', after), [], name)
    t.same(problemsBeyondSchema(after), [], name)
    const names = plan.containers.map((container) => container.name)
    t.strictSame(unnamed(after, names), unnamed(pod, names), name)
    t.same(mutate(after, { plan, commands }, config).operations, [], `${name}: applied twice changes nothing`)
    t.match(
      decide(after, { namespace: 'ml-team', optedInBy: 'pod' }, config),
      { outcome: 'skip', reasons: ['already-injected'] },
      name,
    )
  }
  t.equal(count, 4)
})

t.test('only additions and replacements are emitted, and the one slash in a name is escaped', async (t) => {
  const { operations } = injected(samplePod({ metadata: { labels: { app: 'x' } } }))
  t.ok(operations.every(({ op }) => op === 'add' || op === 'replace'))
  t.ok(operations.some(({ path }) => path === '/metadata/labels/reprieve.dev~1injected'))
})

t.test('the launcher comes before the command, and the arguments stay where they are', async (t) => {
  const { after } = injected(
    samplePod({ container: { command: ['python3', '-u'], args: ['train.py', '--', 'x'] } }),
  )
  t.match(after.spec.containers[0], {
    command: ['/reprieve/bin/launcher', 'run', '--container=main', '--', 'python3', '-u'],
    args: ['train.py', '--', 'x'],
    volumeMounts: [{ name: 'reprieve', mountPath: '/reprieve', readOnly: true }],
    lifecycle: {
      preStop: {
        exec: { command: ['/reprieve/bin/launcher', 'prestop', '--container=main', '--budget-ms=60000'] },
      },
    },
  })
})

t.test("a container's own hooks are kept: preStop inside ours, postStart as it is", async (t) => {
  const lifecycle = { postStart: { exec: { command: ['a'] } }, preStop: { sleep: { seconds: 3 } } }
  const { after } = injected(samplePod({ container: { lifecycle } }))
  t.match(after.spec.containers[0]?.lifecycle, { postStart: { exec: { command: ['a'] } } })
  t.equal(after.spec.containers[0]?.lifecycle?.preStop?.exec?.command?.at(-1), '--sleep=3')
  t.notOk(after.spec.containers[0]?.lifecycle?.preStop?.sleep)
})

t.test('containers that are not protected are not touched', async (t) => {
  const other = { name: 'other', command: ['x'], volumeMounts: [], lifecycle: {} }
  const containers = [{ name: 'main', command: ['y'] }, other]
  const { after } = injected(samplePod({ spec: { containers } }))
  t.strictSame(after.spec.containers[1], other)
})

t.test("ours come first, in order, and the user's init containers keep theirs", async (t) => {
  const { after } = injected(samplePod({ spec: { initContainers: [{ name: 'one' }, { name: 'two' }] } }))
  t.same(
    after.spec.initContainers?.map(({ name }) => name),
    ['reprieve-restore', 'reprieve-sidecar', 'one', 'two'],
  )
})

t.test("the grace period is the user's and the checkpoint's together, and time for its answer", async (t) => {
  t.equal(grace(), 95)
  t.equal(grace(0), 65)
  t.equal(grace(600), 665)
})

t.test("the store's volume is the administrator's, of each kind", async (t) => {
  t.same(volume('default'), {
    name: 'reprieve-store',
    hostPath: { path: '/var/lib/reprieve/store', type: 'DirectoryOrCreate' },
  })
  t.same(volume('shared'), {
    name: 'reprieve-store',
    nfs: { server: 'nfs.example', path: '/exports/checkpoints' },
  })
  t.same(volume('claimed'), { name: 'reprieve-store', persistentVolumeClaim: { claimName: 'checkpoints' } })
})

t.test('both containers of ours get the plan that was decided', async (t) => {
  const { after, plan } = injected(samplePod())
  for (const { name, env } of ours(after)) {
    const value = env.find((variable) => variable.name === 'REPRIEVE_PLAN')?.value ?? ''
    t.same(parsePodPlan(value), plan, name)
    t.same(
      env.map((variable) => variable.name),
      ['REPRIEVE_PLAN', 'REPRIEVE_POD_NAME', 'REPRIEVE_POD_UID', 'REPRIEVE_NODE_NAME'],
    )
  }
})

t.test('a dollar sign in the plan is safe from the expansion of variables', async (t) => {
  const mountPath = '/data/$(HOME)/$$x'
  const { after, plan } = injected(
    samplePod({
      container: { volumeMounts: [{ name: 'v', mountPath }] },
      spec: {
        volumes: [{ name: 'v', emptyDir: {} }],
        containers: [{ name: 'main', command: ['a'], volumeMounts: [{ name: 'v', mountPath }] }],
      },
    }),
  )
  const value = ours(after)[0].env[0]?.value ?? ''
  // As the kubelet reads it (third_party/forked/golang/expansion): `$$` is a dollar sign, and begins no reference.
  t.notMatch(value.replaceAll('$$', ''), /\$/)
  t.same(parsePodPlan(value.replaceAll('$$', () => '$')), plan)
})

t.test(
  'the sidecar has what CRIU needs and the restore container next to nothing; neither is privileged',
  async (t) => {
    const [restore, sidecar] = ours(injected(samplePod()).after)
    t.same(restore.securityContext.capabilities, { drop: ['ALL'], add: [...restoreCapabilities] })
    const ofEverybody = new Set(defaultCapabilities)
    t.ok(
      restoreCapabilities.some((name) => !ofEverybody.has(name)),
      'an ordinary container may not trace it',
    )
    t.match(restore.securityContext, {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
    })
    t.match(sidecar.securityContext, {
      privileged: false,
      runAsUser: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'Unconfined' },
      appArmorProfile: { type: 'Unconfined' },
      capabilities: { drop: ['ALL'] },
    })
    for (const name of ['SYS_ADMIN', 'SYS_PTRACE', 'CHECKPOINT_RESTORE', 'SYS_RESOURCE', 'SETUID'])
      t.ok(sidecar.securityContext.capabilities.add.includes(name), name)
  },
)

t.test('an administrator can leave capabilities out that the nodes do not grant', async (t) => {
  const less = sampleConfig((text) => `${text}sidecar: { withoutCapabilities: [SYS_RESOURCE, SYS_TIME] }\n`)
  const [, sidecar] = ours(injected(samplePod(), less).after)
  t.notOk(
    sidecar.securityContext.capabilities.add.some((name) => name === 'SYS_RESOURCE' || name === 'SYS_TIME'),
  )
  t.ok(sidecar.securityContext.capabilities.add.includes('SYS_ADMIN'))
})

t.test('neither of ours has a probe, or a hook', async (t) => {
  for (const container of ours(injected(samplePod()).after))
    for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe', 'lifecycle'])
      t.notOk(Object.hasOwn(container, field), `${container.name} ${field}`)
})

t.test('the class of service stays what it was', async (t) => {
  const resources = (requests: object | undefined, limits: object | undefined, spec: object = {}) => {
    const container = {
      name: 'main',
      command: ['x'],
      resources: { ...(requests && { requests }), ...(limits && { limits }) },
    }
    const [restore, sidecar] = ours(
      injected(samplePod({ spec: { containers: [container], ...spec } as never })).after,
    )
    t.same(restore.resources, sidecar.resources)
    return sidecar.resources
  }
  const whole = { cpu: '1', memory: '1Gi' }
  const guaranteed = { cpu: '500m', memory: '256Mi' }
  t.same(resources(whole, whole), { requests: guaranteed, limits: guaranteed })
  t.same(
    resources(undefined, whole),
    { requests: guaranteed, limits: guaranteed },
    'requests default to limits',
  )
  t.same(resources({ cpu: '1000m', memory: '1024Mi' }, whole), { requests: guaranteed, limits: guaranteed })
  const burstable = { requests: { cpu: '20m', memory: '64Mi' }, limits: {} }
  t.same(resources({ cpu: '500m', memory: '1Gi' }, whole), burstable)
  t.same(resources(undefined, { memory: '1Gi' }), burstable)
  t.same(resources(whole, whole, { initContainers: [{ name: 'init' }] }), burstable, 'init containers count')
  t.same(resources(undefined, undefined), {}, 'BestEffort')
  t.same(resources(whole, whole, { resources: { limits: whole } }), {}, 'resources of the pod itself')
})

t.test('what a hook lost is told', async (t) => {
  const lifecycle = { preStop: { tcpSocket: { port: 80 } } }
  t.match(injected(samplePod({ container: { lifecycle } })).warnings, [/preStop/])
})

t.test(
  'the metrics port is declared where it can be reached from outside the pod, and nowhere else',
  async (t) => {
    const portsOf = (text: string) => {
      const { after, plan } = injected(
        samplePod(),
        sampleConfig((file) => `${file}\n${text}`),
      )
      t.same(problemsOfCoreV1('Pod', after), [], text)
      const [restore, sidecar] = after.spec.initContainers as unknown as [object, { ports?: object[] }]
      t.notOk(Object.hasOwn(restore, 'ports'))
      return [plan.statusHost, sidecar.ports]
    }
    t.same(portsOf(''), [undefined, undefined])
    const declared = [{ name: 'reprieve', containerPort: 9464, protocol: 'TCP' }]
    t.same(portsOf("statusHost: '0.0.0.0'"), ['0.0.0.0', declared])
    t.same(portsOf("statusHost: '::'"), ['::', declared])
  },
)

const planWith = (text: string) =>
  injected(
    samplePod(),
    sampleConfig((file) => `${file}\n${text}`),
  ).plan

t.test('a threshold that is a share of the node is told the sidecar as one', async (t) => {
  t.match(planWith(''), { nodeEvictionBytes: 100 * 2 ** 20, nodeEvictionPercent: undefined })
  const plan = planWith('memory: { nodeEviction: 5% }')
  t.match(plan, { nodeEvictionBytes: 0, nodeEvictionPercent: 5 })
  t.strictSame(parsePodPlan(JSON.stringify(plan)), plan)
})
