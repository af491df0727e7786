import t from 'tap'
import { decide, withoutCommand, type Decision } from '../../webhook/decide.ts'
import type { Entrypoints } from '../../webhook/entrypoints.ts'
import type { Pod } from '../../webhook/pod.ts'
import { skipReasons, type SkipReason } from '../../webhook/skip-reasons.ts'
import { recorded, sampleConfig, samplePod } from './admission-fixtures.ts'
import { inject } from './patched-pod.ts'

const config = sampleConfig()
const asked = (pod: Pod, namespace = 'ml-team') => decide(pod, { namespace, optedInBy: 'pod' }, config)
const byNamespace = (pod: Pod) => decide(pod, { namespace: 'ml-team', optedInBy: 'namespace' }, config)
const reasonsOf = (decision: Decision) => (decision.outcome === 'inject' ? [] : decision.reasons)
const silent = (change: Parameters<typeof samplePod>[0] = {}): Pod => {
  const pod = samplePod(change)
  delete pod.metadata.annotations?.['reprieve.dev/checkpoint']
  return pod
}

t.test('a pod that asks is protected, with the defaults of the configuration', async (t) => {
  const decision = asked(samplePod())
  t.match(decision, {
    outcome: 'inject',
    warnings: [],
    plan: {
      version: 1,
      namespace: 'ml-team',
      lineage: 'ml-team/Pod/train',
      store: { kind: 'directory', name: 'default', path: '/var/reprieve/store' },
      keep: 3,
      restore: 'latest',
      triggers: ['memory', 'disruption', 'spot', 'interval', 'manual'],
      checkpointBudgetMs: 60_000,
      statusPort: 9464,
      cloud: { name: 'auto' },
      interval: 'auto',
      meanTimeBetweenFailuresMs: 86_400_000,
      containers: [{ name: 'main', emptyDirs: [], external: [] }],
    },
  })
})

t.test('what the pod wishes goes into its plan', async (t) => {
  const decision = asked(
    samplePod({
      annotations: {
        'reprieve.dev/store': 'shared',
        'reprieve.dev/keep': '7',
        'reprieve.dev/key': 'mine',
        'reprieve.dev/restore': 'never',
        'reprieve.dev/triggers': 'manual',
        'reprieve.dev/interval': '15m',
        'reprieve.dev/external-files': 'ignore',
      },
    }),
  )
  t.match(decision, {
    plan: {
      store: { name: 'shared' },
      keep: 7,
      lineage: 'ml-team/key/mine',
      restore: 'never',
      triggers: ['manual'],
      interval: { everyMs: 900_000 },
      externalFiles: 'ignore',
    },
  })
})

function memoryPlanOf(annotations: Record<string, string>, limit?: string) {
  const pod = samplePod({ annotations })
  const [container] = pod.spec.containers
  if (container !== undefined && limit !== undefined) container.resources = { limits: { memory: limit } }
  const decision = asked(pod)
  return decision.outcome === 'inject' ? decision.plan.containers[0]?.memory : decision
}

t.test('the plan says what is done about a full memory, container by container', async (t) => {
  const plan = { thresholdPercent: 85, answer: 'grow', recordsNeeds: false }
  t.strictSame(memoryPlanOf({}), plan)
  t.strictSame(memoryPlanOf({}, '1Gi'), { ...plan, maxBytes: 4 * 2 ** 30 }, 'four times its limit')
  const wishes = {
    'reprieve.dev/memory-threshold': '70%',
    'reprieve.dev/on-memory-pressure': 'reschedule',
    'reprieve.dev/memory-max': '3Gi',
  }
  const wished = { thresholdPercent: 70, answer: 'reschedule', maxBytes: 3 * 2 ** 30, recordsNeeds: false }
  t.strictSame(memoryPlanOf(wishes, '1Gi'), wished)
})

t.test('who asks to be rescheduled and would not be is warned', async (t) => {
  const decision = asked(samplePod({ annotations: { 'reprieve.dev/on-memory-pressure': 'reschedule' } }))
  t.match(decision, { outcome: 'inject', warnings: [/is checkpoint for container main: with restartPolicy Always it would/] }) // prettier-ignore
})

const staysBecause = (recordsNeeds: boolean) => {
  const decision = decide(samplePod(), { namespace: 'ml-team', optedInBy: 'pod' }, config, { recordsNeeds })
  return decision.outcome === 'inject' ? decision.plan.containers[0]?.memory.staysBecause : decision
}

t.test('a plan says why its pod would not be replaced, where replacements are given more', async (t) => {
  t.match(staysBecause(true), /^with restartPolicy Always/)
  t.equal(staysBecause(false), undefined)
})

t.test('a memory limit of the pod as a whole is told to be unwatched', async (t) => {
  const decision = asked(samplePod({ spec: { resources: { limits: { memory: '1Gi' } } } }))
  t.match(decision, { outcome: 'inject', warnings: [/memory limit of the pod as a whole is not watched/] })
})

t.test("the pod's word beats its namespace's, both ways", async (t) => {
  t.equal(byNamespace(silent()).outcome, 'inject')
  t.same(reasonsOf(asked(silent())), ['not-opted-in'])
  t.same(reasonsOf(byNamespace(samplePod({ annotations: { 'reprieve.dev/checkpoint': 'false' } }))), [
    'opted-out',
  ])
  t.same(reasonsOf(asked(samplePod({ annotations: { 'reprieve.dev/checkpoint': 'false' } }))), ['opted-out'])
})

t.test('the containers are those named, else the default container, else the first', async (t) => {
  const two = [
    { name: 'a', command: ['x'] },
    { name: 'b', command: ['y'] },
  ]
  const chosen = (annotations: Record<string, string>) => {
    const decision = asked(samplePod({ annotations, spec: { containers: two } }))
    return decision.outcome === 'inject' ? decision.plan.containers.map(({ name }) => name) : decision
  }
  t.same(chosen({}), ['a'])
  t.same(chosen({ 'kubectl.kubernetes.io/default-container': 'b' }), ['b'])
  t.same(chosen({ 'kubectl.kubernetes.io/default-container': 'gone' }), ['a'])
  t.same(chosen({ 'reprieve.dev/containers': 'b,a' }), ['a', 'b'])
  t.match(chosen({ 'reprieve.dev/containers': 'a,c,d' }), {
    outcome: 'refuse',
    problems: ['reprieve.dev/containers names c, d; accepted: a, b'],
  })
})

const onSystems = (...values: string[]) => {
  const term = { matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values }] }
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } } }
}
const adding = (...add: string[]) => ({ securityContext: { capabilities: { add } } })
const obstacles: [SkipReason, Pod][] = [
  ['host-network', samplePod({ spec: { hostNetwork: true } })],
  ['host-pid', samplePod({ spec: { hostPID: true } })],
  ['host-ipc', samplePod({ spec: { hostIPC: true } })],
  ['host-users-off', samplePod({ spec: { hostUsers: false } })],
  ['process-sharing-refused', samplePod({ spec: { shareProcessNamespace: false } })],
  ['may-trace', samplePod({ spec: { initContainers: [{ name: 'i', ...adding('SYS_PTRACE') }] } })],
  ['may-trace', samplePod({ container: adding('CAP_SYS_PTRACE', 'NET_ADMIN') })],
  ['windows', samplePod({ spec: { os: { name: 'windows' } } })],
  ['windows', samplePod({ spec: { nodeSelector: { 'kubernetes.io/os': 'windows' } } })],
  ['windows', samplePod({ spec: { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } } })],
  ['windows', samplePod({ spec: { affinity: onSystems('windows') } })],
  ['needs-pid-1', samplePod({ spec: { containers: [{ name: 'main', command: ['/init'] }] } })],
  [
    'needs-pid-1',
    samplePod({
      annotations: { 'reprieve.dev/containers': 'main' },
      spec: {
        containers: [
          { name: 'main', command: ['python3'] },
          { name: 'desktop', command: ['/sbin/init', '--debug'] },
        ],
      },
    }),
  ],
  ['tty', samplePod({ container: { tty: true } })],
  ['entrypoint-unknown', samplePod({ container: { command: [] } })],
  ['lineage-unknown', samplePod({ metadata: { name: null, generateName: 'train-' } })],
  ['mount-conflict', samplePod({ spec: { volumes: [{ name: 'reprieve-store', emptyDir: {} }] } })],
  ['mount-conflict', samplePod({ container: { volumeMounts: [{ name: 'x', mountPath: '/reprieve/' }] } })],
  [
    'mount-conflict',
    samplePod({ container: { volumeMounts: [{ name: 'x', mountPath: '//reprieve/bin' }] } }),
  ],
  ['mount-conflict', samplePod({ container: { volumeMounts: [{ name: 'x', mountPath: 'reprieve' }] } })],
  ['container-conflict', samplePod({ spec: { initContainers: [{ name: 'reprieve-restore' }] } })],
  ['annotations-invalid', samplePod({ annotations: { 'reprieve.dev/keep': 'many' } })],
  ['annotations-invalid', samplePod({ annotations: { 'reprieve.dev/checkpoint': 'yes' } })],
  ['annotations-invalid', samplePod({ annotations: { 'reprieve.dev/store': 'nowhere' } })],
  [
    'annotations-invalid',
    samplePod({
      annotations: { 'reprieve.dev/memory-max': '1Gi' },
      container: { resources: { limits: { memory: '2Gi' } } },
    }),
  ],
]

t.test('a pod that asks by annotation and cannot be protected is refused with the reason', async (t) => {
  for (const [reason, pod] of obstacles) {
    const decision = asked(pod)
    t.equal(decision.outcome, 'refuse', reason)
    t.same(reasonsOf(decision), [reason])
    t.ok(decision.outcome === 'refuse' && decision.problems.length === 1)
  }
})

t.test('one that only its namespace opted in is admitted unprotected, with a warning', async (t) => {
  for (const [reason, pod] of obstacles) {
    const copy = structuredClone(pod)
    const unclear = copy.metadata.annotations?.['reprieve.dev/checkpoint'] !== 'true'
    if (unclear) continue
    delete copy.metadata.annotations?.['reprieve.dev/checkpoint']
    const decision = byNamespace(copy)
    t.match(
      decision,
      { outcome: 'skip', reasons: [reason], warnings: [/^this pod is not protected: /] },
      reason,
    )
  }
})

t.test('every problem is told, not only the first', async (t) => {
  const decision = asked(
    samplePod({
      annotations: { 'reprieve.dev/keep': 'many', 'reprieve.dev/interval': 'often' },
      spec: { hostNetwork: true, hostPID: true },
      container: { command: null, tty: true },
    }),
  )
  t.same(reasonsOf(decision), [
    'annotations-invalid',
    'host-network',
    'host-pid',
    'tty',
    'entrypoint-unknown',
  ])
  t.ok(decision.outcome === 'refuse' && decision.problems.length === 6)
})

t.test('pods that must not depend on Reprieve are left alone, even when they ask', async (t) => {
  t.same(reasonsOf(asked(samplePod(), 'kube-system')), ['system-pod'])
  t.same(reasonsOf(asked(samplePod(), config.namespace)), ['system-pod'])
  const mirror = samplePod({ annotations: { 'kubernetes.io/config.mirror': 'x' } })
  t.match(asked(mirror), { outcome: 'skip', reasons: ['mirror-pod'] })
})

t.test('the label alone does not pass for an injection', async (t) => {
  const labels = { 'reprieve.dev/injected': 'true' }
  t.equal(asked(samplePod({ metadata: { labels } })).outcome, 'inject')
})

t.test('a copy of a protected pod is told to be one, and the pod itself is left as it is', async (t) => {
  const after = inject(samplePod(), config)?.after ?? samplePod()
  t.match(asked(after), { outcome: 'skip', reasons: ['already-injected'] })
  const copy = { ...after, metadata: { ...after.metadata, name: 'train-debug' } }
  t.match(asked(copy), {
    outcome: 'refuse',
    reasons: ['mount-conflict', 'container-conflict'],
    problems: [/./, /./, /looks like a copy of a protected one: make it anew from what its owner wrote/],
  })
})

t.test('pods that share a lineage and unknown annotations are warned about', async (t) => {
  const { pod } = recorded('create-deployment-pod')
  const decision = asked({
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, 'reprieve.dev/kepp': '1' } },
  })
  t.match(decision, {
    outcome: 'inject',
    warnings: [/reprieve.dev\/kepp/, /Deployment ingest share one lineage/],
  })
})

t.test('volumes are told apart by what becomes of them', async (t) => {
  const mounts = ['empty', 'memory', 'claim', 'nfs', 'host', 'secret', 'token', 'ephemeral', 'gone']
  const decision = asked(
    samplePod({
      container: {
        volumeMounts: [
          ...mounts.map((name) => ({ name, mountPath: `/${name}` })),
          { name: 'empty', mountPath: '/read-only', readOnly: true },
        ],
      },
      spec: {
        volumes: [
          { name: 'empty', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory' } },
          { name: 'claim', persistentVolumeClaim: { claimName: 'c' } },
          { name: 'nfs', nfs: { server: 's', path: '/' } },
          { name: 'host', hostPath: { path: '/data' } },
          { name: 'secret', secret: { secretName: 's' } },
          { name: 'token', projected: { sources: [] } },
          { name: 'ephemeral', ephemeral: {} },
        ],
      },
    }),
  )
  t.ok(decision.outcome === 'inject')
  if (decision.outcome !== 'inject') return
  t.match(decision.plan.containers[0], {
    emptyDirs: ['/empty', '/memory', '/ephemeral'],
    external: ['/claim', '/nfs', '/host', '/gone'],
  })
})

const print = (change: Parameters<typeof samplePod>[0]) => {
  const decision = asked(samplePod(change))
  return decision.outcome === 'inject' ? decision.plan.containers[0]?.fingerprint : undefined
}
const withAccess = (name: string, mountPath = '/var/run/secrets') => {
  const volumeMounts = [{ name, mountPath, readOnly: true }]
  const containers = [{ name: 'main', image: 'i', command: ['c'], volumeMounts }]
  return { spec: { volumes: [{ name, projected: {} }], containers } }
}

t.test('the fingerprint changes with what the memory depends on, and with nothing else', async (t) => {
  const base = print({})
  t.match(base, /^[0-9a-f]{64}$/)
  t.equal(print({ metadata: { labels: { a: 'b' } } }), base)
  t.equal(print({ spec: { terminationGracePeriodSeconds: 5 } }), base)
  t.equal(
    print({ container: { resources: { limits: { memory: '8Gi' } } } }),
    base,
    'growth does not unfit a checkpoint',
  )
  t.equal(print(withAccess('kube-api-access-aaaaa')), print(withAccess('kube-api-access-bbbbb')))
  const others = [
    print({ container: { image: 'ml-app:2' } }),
    print({ container: { args: ['x'] } }),
    print({ container: { command: ['python3', 'other.py'] } }),
    print({ container: { workingDir: '/srv' } }),
    print(withAccess('a')),
    print(withAccess('a', '/elsewhere')),
  ]
  t.equal(new Set([base, ...others]).size, others.length + 1)
})

const wanted = (...asked: Parameters<typeof withoutCommand>) =>
  withoutCommand(...asked).map(({ name }) => name)
const silentImage = samplePod({ container: { command: null, args: ['--x'] } })
const answered = (entrypoint: string[], cmd: string[] = []): Entrypoints =>
  new Map([['main', { known: true, command: { entrypoint, cmd } }]])
const looked = (entrypoints: Entrypoints, pod = silentImage) =>
  decide(pod, { namespace: 'ml-team', optedInBy: 'pod' }, config, { entrypoints })

t.test('a container without a command runs what was found out about its image', async (t) => {
  const decision = looked(answered(['/e'], ['c']))
  t.match(decision, { outcome: 'inject' })
  t.same(decision.outcome === 'inject' && decision.commands.get('main'), ['/e'])
  const given = looked(answered(['/e']), samplePod({ container: { command: ['own'] } }))
  t.same(given.outcome === 'inject' && given.commands.get('main'), ['own'], "the pod's own command stands")
  const prints = [decision, looked(answered(['/f']))].map(
    (one) => one.outcome === 'inject' && one.plan.containers[0]?.fingerprint,
  )
  t.not(prints[0], prints[1], 'an image that runs something else fits other checkpoints')
})

t.test('what could not be found out is told to the owner, in words', async (t) => {
  const why = 'registry.example answers 404'
  for (const [entrypoints, said] of [
    [
      new Map([['main', { known: false, why, fault: 'owner' }]]),
      /write it there, .* is not known: registry\.example answers 404$/,
    ],
    [new Map(), /its registry was not asked/],
  ] as [Entrypoints, RegExp][])
    t.match(looked(entrypoints), { outcome: 'refuse', reasons: ['entrypoint-unknown'], problems: [said] })
  const away: Entrypoints = new Map([['main', { known: false, why: 'it answers 503', fault: 'elsewhere' }]])
  t.match(
    looked(away),
    {
      outcome: 'skip',
      reasons: ['registry-unavailable'],
      warnings: [/^this pod is not protected: .* it answers 503/],
    },
    'but a registry that is away holds nobody up',
  )
  t.match(looked(away, samplePod({ container: { command: null, tty: true } })), {
    outcome: 'refuse',
    reasons: ['tty'],
    problems: [/tty/, /503/],
  })
  t.match(looked(answered([]), samplePod({ container: { command: null } })), {
    outcome: 'refuse',
    problems: [/it has neither an entrypoint nor a command/],
  })
})

t.test(
  'images are looked up for containers that are to be protected and give no command, and for no other',
  async (t) => {
    const containers = [
      { name: 'a', image: 'i' },
      { name: 'b', image: 'i', command: [] },
      { name: 'c', image: 'i', command: ['x'] },
    ]
    const pod = samplePod({ annotations: { 'reprieve.dev/containers': 'b,c' }, spec: { containers } })
    t.same(wanted(pod, { namespace: 'ml-team', optedInBy: 'pod' }, config), ['b'])
    t.same(wanted(pod, { namespace: 'kube-system', optedInBy: 'pod' }, config), [])
    t.same(wanted(silent({ spec: { containers } }), { namespace: 'ml-team', optedInBy: 'pod' }, config), [])
    t.same(
      wanted(silent({ spec: { containers } }), { namespace: 'ml-team', optedInBy: 'namespace' }, config),
      ['a'],
    )
  },
)

t.test('every reason has a meaning that a person can read', async (t) => {
  for (const [reason, { meaning }] of Object.entries(skipReasons)) t.ok(meaning.length > 20, reason)
})

t.test(
  'a silent pod of a namespace whose level would refuse the sidecar is left as it is, and told',
  async (t) => {
    const kept = decide(silent(), { namespace: 'ml-team', optedInBy: 'restricted-namespace' }, config)
    t.match(kept, {
      outcome: 'skip',
      reasons: ['pod-security'],
      warnings: [/not protected: .*Pod Security level/],
    })
    const without = silent({ container: { command: null } })
    t.same(
      withoutCommand(without, { namespace: 'ml-team', optedInBy: 'restricted-namespace' }, config),
      [],
      'no registry is asked',
    )
    t.equal(
      decide(samplePod(), { namespace: 'ml-team', optedInBy: 'restricted-namespace' }, config).outcome,
      'inject',
      'one that asks is not silent',
    )
    const declining = samplePod({ annotations: { 'reprieve.dev/checkpoint': 'false' } })
    t.same(
      reasonsOf(decide(declining, { namespace: 'ml-team', optedInBy: 'restricted-namespace' }, config)),
      ['opted-out'],
    )
  },
)
