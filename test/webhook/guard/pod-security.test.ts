import t from 'tap'
import { judgePodSecurity } from '../../../webhook/guard/pod-security.ts'
import type { Pod } from '../../../webhook/pod.ts'
import type { Standard } from '../../../webhook/pod-security/standards.ts'
import type { AdmissionRequest } from '../../../webhook/review.ts'
import { recordedReviews, sampleConfig, samplePod } from '../admission-fixtures.ts'
import { inject } from '../patched-pod.ts'
import { restrictedPod } from '../pod-security/restricted-pod.ts'
import { connecting, containerIn, creating, debugging, master, updating } from './requests.ts'

const config = sampleConfig()
const standards: readonly Standard[] = ['baseline', 'restricted']
const verdictOn = (request: AdmissionRequest, standard: Standard = 'restricted') =>
  judgePodSecurity(request, standard, config)
const denial = (message: RegExp) => ({ allowed: false, reason: 'violates-pod-security', message })
const sidecar = 'reprieve-sidecar'
const harmless = {
  name: 'debugger',
  image: 'busybox',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
}

function protectedPod(change: Parameters<typeof samplePod>[0] = {}): Pod {
  const after = inject(restrictedPod(change), config)?.after
  if (after === undefined) throw new Error('the pod was not injected')
  return after
}

function changed(change: (pod: Pod) => unknown): Pod {
  const pod = protectedPod()
  change(pod)
  return pod
}

t.test('a pod is created as the standard wants it, whoever asks', async (t) => {
  for (const standard of standards) {
    t.same(verdictOn(creating(restrictedPod()), standard), { allowed: true })
    const open = creating(restrictedPod({ spec: { hostPID: true } }))
    t.match(verdictOn(open, standard), denial(/must not set hostPID/))
    t.match(verdictOn({ ...open, userInfo: master }, standard), { allowed: false }, 'masters as well')
  }
  t.match(verdictOn(creating(samplePod()), 'baseline'), { allowed: true })
  t.match(
    verdictOn(creating(samplePod()), 'restricted'),
    denial(
      /violates the Pod Security Standard "restricted" \(v1\.36\).*reprieve\.dev\/pod-security.*runAsNonRoot/,
    ),
  )
})

t.test('what Reprieve adds is held to nothing, and the rest of the pod is', async (t) => {
  for (const standard of standards) {
    t.same(verdictOn(creating(protectedPod()), standard), { allowed: true })
    const privileged = protectedPod({ container: { securityContext: { privileged: true } } })
    t.match(verdictOn(creating(privileged), standard), denial(/container "main"/))
    t.notMatch(verdictOn(creating(privileged), standard), denial(/reprieve-sidecar|held to it, too/))
  }
})

/** API servers from 1.30 to 1.33 write it beside the field, before they ask (kubernetes, pkg/registry/core/pod/strategy.go, applyAppArmorVersionSkew). */
function withAppArmor(pod: Pod, container: string): Pod {
  const copy = structuredClone(pod)
  const key = `container.apparmor.security.beta.kubernetes.io/${container}`
  copy.metadata.annotations = { ...copy.metadata.annotations, [key]: 'unconfined' }
  return copy
}

t.test('the AppArmor annotation of Reprieve’s containers is theirs, and nobody else’s', async (t) => {
  const ours = withAppArmor(protectedPod(), sidecar)
  const copied = changed((pod) => (containerIn(pod, sidecar).image = 'evil'))
  for (const standard of standards) {
    t.same(verdictOn(creating(ours), standard), { allowed: true })
    t.same(verdictOn(debugging(ours, [harmless]), standard), { allowed: true })
    for (const pod of [
      withAppArmor(protectedPod(), 'main'),
      withAppArmor(protectedPod(), `${sidecar}-2`),
      withAppArmor(restrictedPod(), sidecar),
      withAppArmor(copied, sidecar),
    ])
      t.match(verdictOn(creating(pod), standard), denial(/must not set the annotation .* to "unconfined"/))
  }
})

const forgeries: [string, Pod][] = [
  ['a word in its command', changed((pod) => (containerIn(pod, sidecar).command as string[]).splice(2, 0, '--import=data:,x'))],
  ['another image', changed((pod) => (containerIn(pod, sidecar).image = 'evil'))],
  ['privileged', changed((pod) => ((containerIn(pod, sidecar).securityContext as { privileged: boolean }).privileged = true))],
  ['another path of the host', changed((pod) => Object.assign(pod.spec.volumes?.[1] ?? {}, { hostPath: { path: '/' } }))],
  ['no label', changed((pod) => (pod.metadata.labels = {}))],
  ['the store in the application', changed((pod) => pod.spec.containers[0]?.volumeMounts?.push({ name: 'reprieve-store', mountPath: '/x' }))],
  ['only one of the two', changed((pod) => (pod.spec.initContainers = pod.spec.initContainers?.filter(({ name }) => name === sidecar)))],
  ['the same as an ordinary container', changed((pod) => pod.spec.containers.push(...(pod.spec.initContainers?.splice(1, 1) ?? [])))],
  ['the plan of another pod', { ...protectedPod(), metadata: { ...protectedPod().metadata, name: 'other', ownerReferences: null } }],
] // prettier-ignore

t.test('what is not exactly what Reprieve writes is held to the standard, and the message says why', async (t) => {
  for (const [name, pod] of forgeries)
    for (const standard of standards) {
      const verdict = verdictOn(creating(pod), standard)
      t.match(verdict, denial(/container "reprieve-sidecar" must not add "SYS_ADMIN"|reprieve-sidecar.*must not/), name)
      t.match(verdict, denial(/volume "reprieve-store" must/), `${name}: nor is its volume`)
      if (name !== 'the same as an ordinary container') t.match(verdict, denial(/held to it, too, because/), name)
    }
  t.match(verdictOn(creating(protectedPod(), 'elsewhere')), { allowed: false }, 'a copy in another namespace')
}) // prettier-ignore

t.test('a volume of Reprieve’s name in a pod without Reprieve is a volume like any other', async (t) => {
  const volumes = [{ name: 'reprieve-store', hostPath: { path: '/' } }]
  for (const standard of standards)
    t.match(verdictOn(creating(restrictedPod({ spec: { volumes } })), standard), denial(/reprieve-store/))
  const running = restrictedPod({ spec: { volumes } })
  t.match(verdictOn(debugging(running, [harmless])), denial(/reprieve-store/), 'also when it runs already')
})

t.test('ephemeral containers are held to it in every pod', async (t) => {
  for (const pod of [restrictedPod(), protectedPod()]) {
    t.same(verdictOn(debugging(pod, [harmless])), { allowed: true })
    t.match(verdictOn(debugging(pod, [{ name: 'debugger' }])), denial(/container "debugger" must/))
    const strong = {
      ...harmless,
      securityContext: { ...harmless.securityContext, capabilities: { add: ['SYS_PTRACE'] } },
    }
    for (const standard of standards)
      t.match(
        verdictOn(debugging(pod, [strong]), standard),
        denial(/container "debugger" must not add "SYS_PTRACE"/),
      )
    t.match(
      verdictOn(debugging(pod, [{ ...harmless, name: sidecar, securityContext: { privileged: true } }])),
      denial(/privileged/),
    )
  }
})

t.test('a pod that runs with an earlier version of Reprieve can be debugged', async (t) => {
  const older = changed((pod) => (containerIn(pod, sidecar).image = 'ghcr.io/reprieve-dev/reprieve:0.1.0'))
  t.match(verdictOn(creating(older)), { allowed: false }, 'though it could not be created any more')
  t.same(verdictOn(debugging(older, [harmless])), { allowed: true })
  const mounting = { ...harmless, volumeMounts: [{ name: 'reprieve-store', mountPath: '/store' }] }
  t.match(verdictOn(debugging(older, [mounting])), denial(/volume "reprieve-store"/))
  t.match(verdictOn(debugging(protectedPod(), [mounting])), denial(/volume "reprieve-store"/))
})

t.test('an update is held to it if it changes an image', async (t) => {
  const earlier = samplePod({ spec: { hostPID: true } })
  t.same(
    verdictOn(updating(earlier, (pod) => (pod.metadata.labels = { a: 'b' }))),
    { allowed: true },
    'a pod from before',
  )
  t.match(
    verdictOn(updating(earlier, (pod) => Object.assign(pod.spec.containers[0] ?? {}, { image: 'x' }))),
    denial(/hostPID/),
  )
  const evil = updating(protectedPod(), (pod) => (containerIn(pod, sidecar).image = 'evil'))
  t.match(verdictOn(evil), denial(/reprieve-sidecar.*held to it, too/))
  const newer = updating(protectedPod(), (pod) =>
    Object.assign(pod.spec.containers[0] ?? {}, { image: 'ml-app:2' }),
  )
  t.same(verdictOn(newer), { allowed: true })
})

t.test('the namespaces of the cluster and of Reprieve wait for nothing', async (t) => {
  const open = restrictedPod({ spec: { hostNetwork: true } })
  for (const namespace of ['kube-system', 'kube-public', 'kube-node-lease', config.namespace])
    t.same(verdictOn(creating(open, namespace)), { allowed: true }, namespace)
  for (const namespace of ['kube-system-2', 'default', ''])
    t.match(verdictOn(creating(open, namespace)), { allowed: false }, namespace)
})

t.test('what is no change of what a pod runs is allowed, and what cannot be read is denied', async (t) => {
  t.same(verdictOn(connecting({ container: 'main' })), { allowed: true })
  for (const { name, request } of recordedReviews())
    if (!/create|ephemeral/.test(name)) t.same(verdictOn(request), { allowed: true }, name)
  for (const object of [null, {}, { metadata: {}, spec: {} }, 'x'])
    t.match(verdictOn({ ...creating(samplePod()), object }), {
      allowed: false,
      reason: 'review-unreadable',
    })
  const deployment = {
    ...creating(samplePod()),
    resource: { group: 'apps', version: 'v1', resource: 'deployments' },
  }
  t.same(verdictOn(deployment), { allowed: true })
})
