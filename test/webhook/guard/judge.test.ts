import t from 'tap'
import type { PodPlan } from '../../../src/pod-plan.ts'
import type { Entrypoints } from '../../../webhook/entrypoints.ts'
import { judge } from '../../../webhook/guard/judge.ts'
import { guardReasons, type GuardReason } from '../../../webhook/guard/reasons.ts'
import type { Container, Pod } from '../../../webhook/pod.ts'
import type { AdmissionRequest } from '../../../webhook/review.ts'
import { recordedReviews, sampleConfig, samplePod } from '../admission-fixtures.ts'
import { inject } from '../patched-pod.ts'
import {
  connecting,
  containerIn,
  creating,
  debugging,
  master,
  nobody,
  protectedPod,
  updating,
} from './requests.ts'

type PlanText = { value: string }

function volumeIn(pod: Pod, name: string): object {
  return pod.spec.volumes?.find((volume) => volume.name === name) ?? {}
}

function firstVariable(pod: Pod, container: string): PlanText {
  return (containerIn(pod, container).env as PlanText[])[0] ?? { value: '' }
}

/** The same change in both containers. */
function replan(pod: Pod, change: (plan: PodPlan) => void): void {
  for (const name of [sidecar, restorer]) {
    const variable = firstVariable(pod, name)
    const plan = JSON.parse(variable.value) as PodPlan
    change(plan)
    variable.value = JSON.stringify(plan)
  }
}

const config = sampleConfig()
const verdictOn = (request: AdmissionRequest) => judge(request, config)
const denial = (reason: GuardReason, message: RegExp = /./) => ({ allowed: false, reason, message })
const sidecar = 'reprieve-sidecar'
const restorer = 'reprieve-restore'

t.test('nobody gets into the sidecar or the restore init container, by exec or by attach', async (t) => {
  for (const subResource of ['exec', 'attach'])
    for (const container of [sidecar, restorer])
      t.match(
        verdictOn(connecting({ container, command: ['sh'] }, subResource)),
        denial('into-reprieve', new RegExp(`${subResource} into ${container} is as good as root`)),
      )
})

t.test('everybody gets into the application, by its name or without one', async (t) => {
  for (const options of [{ container: 'main' }, { container: '' }, {}, { container: 'my-reprieve-sidecar' }])
    t.match(verdictOn(connecting(options)), { allowed: true }, JSON.stringify(options))
  t.match(verdictOn(connecting({ ports: [9464] }, 'portforward')), { allowed: true })
})

t.test('what cannot be read is denied', async (t) => {
  for (const container of [7, ['reprieve-sidecar'], { a: 1 }, true])
    t.match(verdictOn(connecting({ container })), denial('review-unreadable'))
  t.match(verdictOn({ ...debugging(protectedPod(), []), object: null }), denial('review-unreadable'))
  t.match(
    verdictOn({ ...updating(protectedPod(), () => undefined), oldObject: 'x' }),
    denial('review-unreadable'),
  )
})

t.test('the allowed groups may do all of it, and which they are is configured', async (t) => {
  const requests = [
    connecting({ container: sidecar }),
    debugging(protectedPod(), [{ name: 'debugger', targetContainerName: sidecar }]),
    updating(protectedPod(), (pod) => (containerIn(pod, sidecar).image = 'other')),
    creating(protectedPod(), 'elsewhere'),
  ]
  const operators = { username: 'joe', groups: ['operators'] }
  const configured = sampleConfig((text) => `${text}\nguard: { allowedGroups: [operators] }\n`)
  for (const request of requests) {
    t.match(judge({ ...request, userInfo: master }, config), { allowed: true })
    t.match(judge({ ...request, userInfo: operators }, config), { allowed: false })
    t.match(judge({ ...request, userInfo: operators }, configured), { allowed: true })
    t.match(judge({ ...request, userInfo: master }, configured), { allowed: false })
    t.match(judge({ ...request, userInfo: null }, config), { allowed: false }, 'a review without a user')
  }
  const none = sampleConfig((text) => `${text}\nguard: { allowedGroups: [] }\n`)
  t.match(judge({ ...connecting({ container: sidecar }), userInfo: master }, none), { allowed: false })
})

const harmless: unknown[] = [
  { name: 'debugger', image: 'busybox', targetContainerName: 'main' },
  { name: 'debugger', volumeMounts: [{ name: 'data', mountPath: '/data' }] },
  {
    name: 'debugger',
    securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['SYS_PTRACE'] } },
  },
  { name: 'debugger', securityContext: { privileged: false, runAsUser: 0 } },
]
const harmful: [unknown, RegExp][] = [
  [{ name: 'debugger', targetContainerName: sidecar }, /it targets reprieve-sidecar/],
  [{ name: 'debugger', targetContainerName: restorer }, /it targets reprieve-restore/],
  [{ name: 'reprieve-debugger' }, /a name that is reserved/],
  [
    { name: 'debugger', volumeMounts: [{ name: 'reprieve-store', mountPath: '/x' }] },
    /mounts the volume reprieve-store/,
  ],
  [
    { name: 'debugger', volumeMounts: [{ name: 'reprieve', mountPath: '/x', readOnly: true }] },
    /mounts the volume reprieve/,
  ],
  [{ name: 'debugger', volumeDevices: [{ name: 'reprieve-store', devicePath: '/x' }] }, /mounts the volume/],
  [{ name: 'debugger', securityContext: { privileged: true } }, /it is privileged/],
  // What `kubectl debug` adds unless it is told otherwise.
  [
    { name: 'debugger', securityContext: { capabilities: { add: ['SYS_PTRACE'] } } },
    /SYS_PTRACE.*--profile=baseline/,
  ],
  [{ name: 'debugger', securityContext: { capabilities: { add: ['CAP_SYS_ADMIN'] } } }, /SYS_ADMIN/],
  [{ name: 'debugger', securityContext: { capabilities: { add: ['all'] } } }, /ALL/],
]

t.test(
  'an ephemeral container in a protected pod reaches nothing of Reprieve’s, nor its processes',
  async (t) => {
    for (const container of harmless)
      t.match(verdictOn(debugging(protectedPod(), [container])), { allowed: true }, JSON.stringify(container))
    for (const [container, message] of harmful) {
      t.match(verdictOn(debugging(protectedPod(), [container])), denial('debug-into-reprieve', message))
      t.match(
        verdictOn(debugging(samplePod(), [container])),
        { allowed: true },
        'an unprotected pod is not ours to guard',
      )
    }
    const all = harmful.map(([container], index) => ({ ...(container as object), name: `reprieve-${index}` }))
    const verdict = verdictOn(debugging(protectedPod(), all))
    t.ok(!verdict.allowed && verdict.message.split('; ').length > harmful.length, 'all problems are told')
  },
)

t.test('what was there before is not judged again, and a label taken away hides nothing', async (t) => {
  const pod = protectedPod()
  Object.assign(pod.spec, { ephemeralContainers: [{ name: 'old', targetContainerName: sidecar }] })
  t.match(verdictOn(debugging(pod, [{ name: 'new' }])), { allowed: true })
  delete pod.metadata.labels
  t.match(
    verdictOn(debugging(pod, [{ name: 'new', targetContainerName: sidecar }])),
    denial('debug-into-reprieve'),
  )
})

t.test(
  'the images of our containers and our label stay as they are; the rest of the pod is its owner’s',
  async (t) => {
    const changes: [string, (pod: Pod) => void, object][] = [
      [
        'sidecar',
        (pod) => (containerIn(pod, sidecar).image = 'evil'),
        denial('altered', /the image of reprieve-sidecar/),
      ],
      [
        'restorer',
        (pod) => (containerIn(pod, restorer).image = 'evil'),
        denial('altered', /the image of reprieve-restore/),
      ],
      ['gone', (pod) => (pod.spec.initContainers = []), denial('altered')],
      [
        'label off',
        (pod) => delete pod.metadata.labels?.['reprieve.dev/injected'],
        denial('altered', /the label/),
      ],
      [
        'label other',
        (pod) => (pod.metadata.labels = { 'reprieve.dev/injected': 'false' }),
        denial('altered'),
      ],
      [
        'own image',
        (pod) => Object.assign(pod.spec.containers[0] ?? {}, { image: 'other' }),
        { allowed: true },
      ],
      ['own label', (pod) => (pod.metadata.labels = { ...pod.metadata.labels, a: 'b' }), { allowed: true }],
      ['nothing', () => undefined, { allowed: true }],
    ]
    for (const [name, change, expected] of changes)
      t.match(verdictOn(updating(protectedPod(), change)), expected, name)
    t.match(
      verdictOn(updating(samplePod(), (pod) => (pod.metadata.labels = { 'reprieve.dev/injected': 'true' }))),
      denial('altered', /set by Reprieve when the pod is made/),
      'an unprotected pod does not get the label afterwards',
    )
  },
)

t.test('a pod that Reprieve protected is created, and one that only looks so is not', async (t) => {
  t.match(verdictOn(creating(protectedPod())), { allowed: true })
  t.match(verdictOn(creating(samplePod())), { allowed: true })
  const pretenders: [string, (pod: Pod) => void][] = [
    ['another program', (pod) => (containerIn(pod, sidecar).command = ['/bin/sh'])],
    [
      'another program at the end',
      (pod) => (containerIn(pod, restorer).command as string[]).push('/evil.js'),
    ],
    ['no plan', (pod) => (containerIn(pod, sidecar).env = [])],
    [
      'a plan twice',
      (pod) => (containerIn(pod, sidecar).env as object[]).push({ name: 'REPRIEVE_PLAN', value: '{}' }),
    ],
    [
      'a plan that is no plan',
      (pod) => (containerIn(pod, sidecar).env = [{ name: 'REPRIEVE_PLAN', value: '[' }]),
    ],
    ['one container of two', (pod) => pod.spec.initContainers?.splice(0, 1)],
    ['the containers without the label', (pod) => delete pod.metadata.labels],
    ['another name, as a copy has', (pod) => (pod.metadata.name = 'train-copy')],
    ['another key', (pod) => (pod.metadata.annotations = { 'reprieve.dev/key': 'victim' })],
    ['another store', (pod) => (pod.metadata.annotations = { 'reprieve.dev/store': 'shared' })],
  ]
  for (const [name, change] of pretenders) {
    const pod = protectedPod()
    change(pod)
    t.match(verdictOn(creating(pod)), denial('pretended', /which only Reprieve adds/), name)
  }
  t.match(
    verdictOn(creating(protectedPod(), 'other-team')),
    denial('pretended'),
    'a plan of another namespace',
  )
  t.match(
    verdictOn(creating(samplePod({ metadata: { labels: { 'reprieve.dev/injected': 'true' } } }))),
    denial('pretended', /the label reprieve\.dev\/injected/),
  )
})

/** As an attacker writes them: a genuine plan, and something of their own beside it. */
const forgeries: [string, (pod: Pod) => void, RegExp][] = [
  [
    'another program between our words',
    (pod) =>
      (containerIn(pod, sidecar).command as string[]).splice(4, 0, '--import', 'data:text/javascript,evil'),
    /command of reprieve-sidecar is not what Reprieve writes/,
  ],
  ['arguments', (pod) => (containerIn(pod, restorer).args = ['--import']), /args of reprieve-restore/],
  [
    'a privileged sidecar',
    (pod) => ((containerIn(pod, sidecar).securityContext as { privileged: boolean }).privileged = true),
    /securityContext of reprieve-sidecar/,
  ],
  [
    'a capability more',
    (pod) =>
      (
        containerIn(pod, sidecar).securityContext as { capabilities: { add: string[] } }
      ).capabilities.add.push('SYS_MODULE'),
    /securityContext of reprieve-sidecar/,
  ],
  [
    'a variable that Node runs',
    (pod) =>
      (containerIn(pod, sidecar).env as object[]).push({ name: 'NODE_OPTIONS', value: '--import=data:,x' }),
    /env of reprieve-sidecar/,
  ],
  [
    'a variable of ours a second time',
    (pod) => (containerIn(pod, sidecar).env as object[]).push({ name: 'REPRIEVE_POD_UID', value: 'x' }),
    /env of reprieve-sidecar/,
  ],
  [
    'variables out of a ConfigMap',
    (pod) => (containerIn(pod, sidecar).envFrom = [{ configMapRef: { name: 'evil' } }]),
    /envFrom of reprieve-sidecar/,
  ],
  [
    'the node mounted over our program',
    (pod) => {
      pod.spec.volumes?.push({ name: 'host', hostPath: { path: '/' } })
      ;(containerIn(pod, sidecar).volumeMounts as object[]).push({ name: 'host', mountPath: '/opt/reprieve' })
    },
    /volumeMounts of reprieve-sidecar/,
  ],
  [
    'the node mounted where tokens lie',
    (pod) => {
      pod.spec.volumes?.push({ name: 'host', hostPath: { path: '/' } })
      const mount = { name: 'host', mountPath: '/var/run/secrets/host', readOnly: true }
      ;(containerIn(pod, sidecar).volumeMounts as object[]).push(mount)
    },
    /volumeMounts of reprieve-sidecar/,
  ],
  [
    'a token mounted outside of where they lie',
    (pod) => {
      pod.spec.volumes?.push({ name: 'code', projected: { sources: [] } })
      const mount = { name: 'code', mountPath: '/var/run/secrets/../../../opt/reprieve', readOnly: true }
      ;(containerIn(pod, sidecar).volumeMounts as object[]).push(mount)
    },
    /volumeMounts of reprieve-sidecar/,
  ],
  [
    'another store',
    (pod) => Object.assign(volumeIn(pod, 'reprieve-store'), { hostPath: { path: '/' } }),
    /the volume reprieve-store/,
  ],
  [
    'another volume of ours',
    (pod) => Object.assign(volumeIn(pod, 'reprieve'), { emptyDir: undefined, hostPath: { path: '/' } }),
    /the volume reprieve/,
  ],
  [
    'another staging',
    (pod) =>
      Object.assign(volumeIn(pod, 'reprieve-staging'), { emptyDir: undefined, hostPath: { path: '/' } }),
    /the volume reprieve-staging/,
  ],
  [
    'staging in the application',
    (pod) => pod.spec.containers[0]?.volumeMounts?.push({ name: 'reprieve-staging', mountPath: '/x' }),
    /main mounts the volume reprieve-staging/,
  ],
  [
    'a device by a claim',
    (pod) => (containerIn(pod, sidecar).resources = { claims: [{ name: 'disk' }] }),
    /resources of reprieve-sidecar/,
  ],
  [
    'a device by its name',
    (pod) => (containerIn(pod, sidecar).resources = { limits: { 'example.com/kvm': '1' } }),
    /resources of reprieve-sidecar/,
  ],
  [
    'the whole store',
    (pod) => {
      const mounts = containerIn(pod, sidecar).volumeMounts as { name: string; subPathExpr?: string }[]
      delete mounts.find(({ name }) => name === 'reprieve-store')?.subPathExpr
    },
    /volumeMounts of reprieve-sidecar/,
  ],
  [
    'the store of another namespace',
    (pod) => {
      const mounts = containerIn(pod, sidecar).volumeMounts as { name: string; subPathExpr?: string }[]
      Object.assign(mounts.find(({ name }) => name === 'reprieve-store') ?? {}, { subPathExpr: 'team-b' })
    },
    /volumeMounts of reprieve-sidecar/,
  ],
  [
    'another namespace for the kubelet to go by',
    (pod) => {
      const env = containerIn(pod, sidecar).env as { name: string }[]
      env.push({ name: 'REPRIEVE_NAMESPACE', value: 'team-b' } as { name: string })
    },
    /env of reprieve-sidecar/,
  ],
  ['another image', (pod) => (containerIn(pod, sidecar).image = 'evil.example/reprieve:1'), /image of/],
  [
    'a digest of another image',
    (pod) => (containerIn(pod, sidecar).image = `evil@sha256:${'0'.repeat(64)}`),
    /image of/,
  ],
  ['a probe', (pod) => (containerIn(pod, sidecar).livenessProbe = { exec: { command: ['sh'] } }), /Probe of/],
  ['a hook', (pod) => (containerIn(pod, sidecar).lifecycle = { postStart: { exec: {} } }), /lifecycle of/],
  ['plans that differ', (pod) => (firstVariable(pod, restorer).value += ' '), /its plan cannot be read/],
  [
    'another budget in the plan',
    (pod) => replan(pod, (plan) => (plan.checkpointBudgetMs = 1)),
    /not the one that its annotations and the configuration make/,
  ],
  [
    'another metadata service in the plan',
    (pod) => replan(pod, (plan) => (plan.cloud = { name: 'aws', endpoint: { host: 'victim', port: 80 } })),
    /not the one that its annotations and the configuration make/,
  ],
  [
    'the work of another owner',
    (pod) => replan(pod, (plan) => (plan.incarnation = 'f1b0a3c2')),
    /not the one that its annotations and the configuration make/,
  ],
  [
    'paths that no volume is mounted at',
    (pod) =>
      replan(pod, (plan) => (plan.containers[0] as { emptyDirs: string[] }).emptyDirs.push('/proc/sys')),
    /its plan says of main what is not so/,
  ],
  [
    'the store in the application',
    (pod) => pod.spec.containers[0]?.volumeMounts?.push({ name: 'reprieve-store', mountPath: '/x' }),
    /main mounts the volume reprieve-store/,
  ],
  [
    'our tools in the application, to write there',
    (pod) => (pod.spec.containers[0] as Container).volumeMounts?.forEach((mount) => (mount.readOnly = false)),
    /main mounts the volume reprieve/,
  ],
  [
    'our tools in an init container',
    (pod) =>
      pod.spec.initContainers?.push({
        name: 'x',
        volumeMounts: [{ name: 'reprieve', mountPath: '/reprieve', readOnly: true }],
      }),
    /x mounts the volume reprieve/,
  ],
]

t.test('with a genuine plan alone nobody passes for Reprieve', async (t) => {
  for (const [name, change, message] of forgeries) {
    const pod = protectedPod()
    change(pod)
    t.match(verdictOn(creating(pod)), denial('pretended', message), name)
  }
})

t.test('our names are reserved in every list of containers, and in volumes', async (t) => {
  const other = { name: 'main', image: 'ml-app:1', command: ['x'] }
  const pretenders: Partial<Pod['spec']>[] = [
    { containers: [other, { name: sidecar, image: 'evil' }] },
    { containers: [{ name: restorer, image: 'evil' }] },
    { containers: [other], initContainers: [{ name: sidecar, image: 'evil' }] },
    { containers: [other], volumes: [{ name: 'reprieve', emptyDir: {} }] },
    { containers: [other], volumes: [{ name: 'reprieve-staging', emptyDir: {} }] },
    { containers: [other], volumes: [{ name: 'reprieve-store', hostPath: { path: '/' } }] },
  ]
  for (const spec of pretenders)
    t.match(verdictOn(creating(samplePod({ spec }))), denial('pretended'), JSON.stringify(spec))
  t.match(
    verdictOn(creating(samplePod({ spec: { containers: [{ ...other, name: 'reprieve-agent' }] } }))),
    { allowed: true },
    'no more than our names',
  )
  for (const name of [sidecar, restorer])
    t.match(verdictOn(debugging(samplePod(), [{ name }])), denial('debug-into-reprieve', /is reserved/))
})

t.test(
  'a pod that was protected keeps its protection when others change what is theirs to change',
  async (t) => {
    const digest = `sha256:${'a1'.repeat(32)}`
    const tagged = config.image
    for (const image of [tagged, `${tagged}@${digest}`, `${tagged.replace(/:[^:/]*$/, '')}@${digest}`]) {
      const pod = protectedPod()
      pod.spec.volumes?.push({ name: 'kube-api-access-x', projected: { sources: [] } })
      for (const name of [sidecar, restorer]) {
        const container = containerIn(pod, name)
        container.image = image
        container.imagePullPolicy = 'Always'
        container.resources = { limits: { memory: '1Gi' } }
        container.resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }]
        const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
        ;(container.volumeMounts as object[]).push({ name: 'kube-api-access-x', mountPath, readOnly: true })
        ;(container.env as object[]).push(
          { name: 'HTTP_PROXY', value: 'x' },
          { name: 'AWS_REGION', value: 'x' },
        )
        Object.assign(container.securityContext as object, { procMount: 'Default' })
        Object.assign(container, { args: null, ports: [] })
      }
      t.match(verdictOn(creating(pod)), { allowed: true }, image)
    }
  },
)

t.test(
  'the identities of clouds, as their webhooks add them to every container, are no forgery',
  async (t) => {
    const secrets = '/var/run/secrets'
    const projected = { projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }
    const clouds = {
    // pfnet-research/gcp-workload-identity-federation-webhook, webhooks/mutatepod_parts.go, in its mode "direct".
    google: {
      variables: ['GOOGLE_APPLICATION_CREDENTIALS', 'CLOUDSDK_COMPUTE_REGION', 'CLOUDSDK_CORE_PROJECT'],
      mounts: [
        [`${secrets}/sts.googleapis.com/serviceaccount`, projected],
        [`${secrets}/gcloud/config`, { downwardAPI: { items: [{ path: 'federation.json' }] } }],
      ],
    },
    // ack-pod-identity-webhook, as "Use RRSA to authorize pods to access different cloud services" shows a pod.
    alibaba: {
      variables: ['ROLE_ARN', 'OIDC_PROVIDER_ARN', 'OIDC_TOKEN_FILE', 'STS_ENDPOINT', 'STS_REGION', 'VPC_ENDPOINT_ENABLED'].map(
        (name) => `ALIBABA_CLOUD_${name}`,
      ),
      mounts: [[`${secrets}/ack.alibabacloud.com/rrsa-tokens`, projected]],
    },
  } as const // prettier-ignore
    for (const [cloud, { variables, mounts }] of Object.entries(clouds)) {
      const pod = protectedPod()
      for (const [index, [mountPath, source]] of mounts.entries()) {
        pod.spec.volumes?.push({ name: `token-${index}`, ...source })
        for (const name of [sidecar, restorer])
          (containerIn(pod, name).volumeMounts as object[]).push({
            name: `token-${index}`,
            mountPath,
            readOnly: true,
          })
      }
      for (const name of [sidecar, restorer])
        (containerIn(pod, name).env as object[]).push(...variables.map((name) => ({ name, value: 'x' })))
      t.match(verdictOn(creating(pod)), { allowed: true }, cloud)
    }
  },
)

t.test('what an older API server does not know, and leaves out, is no forgery', async (t) => {
  const pod = protectedPod()
  delete (containerIn(pod, sidecar).securityContext as { appArmorProfile?: object }).appArmorProfile
  t.match(verdictOn(creating(pod)), { allowed: true })
})

t.test('every pod that the webhook protects passes the guard, whoever made it', async (t) => {
  const command = { entrypoint: ['/e'], cmd: ['$(X)'] }
  const lookedUp: Entrypoints = new Map([['main', { known: true, command }]])
  let count = 0
  for (const { name, request } of recordedReviews()) {
    if (request.operation !== 'CREATE' || request.kind.kind !== 'Pod') continue
    const namespace = request.namespace ?? ''
    const after = inject(request.object as Pod, config, 'namespace', namespace, lookedUp)?.after
    if (after === undefined) continue
    count++
    t.match(verdictOn({ ...request, userInfo: nobody, object: after }), { allowed: true }, name)
  }
  t.equal(count, 5)
})

t.test('so does one whose name the API server made after the webhook had seen it', async (t) => {
  const web = { name: 'web', controller: true }
  const pods = {
    ReplicationController: { ownerReferences: [{ apiVersion: 'v1', kind: 'ReplicationController', ...web }] },
    'KubeRay with an index': {
      ownerReferences: [{ apiVersion: 'ray.io/v1', kind: 'RayCluster', ...web }],
      labels: { 'ray.io/group': 'small', 'ray.io/worker-group-replica-index': '0' },
    },
  }
  for (const [made, metadata] of Object.entries(pods)) {
    const pod = samplePod()
    Object.assign(pod.metadata, { generateName: 'web-', ...metadata })
    delete (pod.metadata as { name?: unknown }).name
    const after = inject(pod, config, 'namespace', 'team-a')?.after
    if (after === undefined) throw new Error('it was not injected')
    const inTeam = (name: string, ownerReferences: Pod['metadata']['ownerReferences']) => creating({ ...after, metadata: { ...after.metadata, name, ownerReferences } }, 'team-a') // prettier-ignore
    const owners = after.metadata.ownerReferences
    t.match(verdictOn(inTeam('web-x7k2p', owners)), { allowed: true }, made)
    t.match(verdictOn(inTeam('web-x7k2p', undefined)), denial('pretended'), `a copy of it: ${made}`)
  }
})

t.test('recorded reviews that are none of the guard’s business go through', async (t) => {
  for (const { name, request } of recordedReviews())
    t.match(verdictOn({ ...request, userInfo: { groups: [] } }), { allowed: true }, name)
})

t.test('every reason has a meaning that a person can read', async (t) => {
  for (const [reason, { meaning }] of Object.entries(guardReasons)) t.ok(meaning.length > 20, reason)
})

t.test(
  'another image for a container of a protected pod is allowed, and told what comes of it',
  async (t) => {
    const injected = protectedPod({
      spec: {
        containers: [
          { name: 'main', image: 'ml-app:1', command: ['python3'] },
          { name: 'beside', image: 'logs:1', command: ['logs'] },
        ],
      },
    })
    const withImage = (index: number) =>
      updating(injected, (pod) => Object.assign(pod.spec.containers[index] ?? {}, { image: 'new:2' }))
    const told = {
      allowed: true,
      warnings: [/^container main goes on from its checkpoint.*template instead$/],
    }
    t.match(judge(withImage(0), sampleConfig()), told)
    t.match(
      judge({ ...withImage(0), userInfo: master }, sampleConfig()),
      told,
      'masters want to know as well',
    )
    t.same(judge(withImage(1), sampleConfig()), { allowed: true }, 'one that is not protected is its owner’s')
  },
)
