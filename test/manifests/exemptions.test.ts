/**
 * The exemptions for policy engines: the policy of the API server is evaluated here, on pods as the webhook writes them and as attackers do. Kyverno's and
 * Gatekeeper's have no interpreter here: they are compared with what is injected.
 */
import { readFileSync } from 'node:fs'
import { evaluate } from '@marcbachmann/cel-js'
import t from 'tap'
import { parseConfig } from '../../src/config.ts'
import type { Pod } from '../../webhook/pod.ts'
import { samplePod } from '../webhook/admission-fixtures.ts'
import { foreignVariables } from '../../webhook/guard/same-container.ts'
import { containerIn } from '../webhook/guard/requests.ts'
import { inject } from '../webhook/patched-pod.ts'
import { manifests, objectsIn } from './rendered.ts'
import { problemsOfKubernetes } from './schemas.ts'

type Policy = {
  spec: {
    failurePolicy: string
    matchConstraints: { namespaceSelector: { matchExpressions: [{ values: string[] }] } }
    validations: { message: string; expression: string }[]
  }
}
type Kustomization = { images: { newName: string; newTag: string }[] }

const [kustomization] = objectsIn('base/kustomization.yaml') as unknown as [Kustomization]
const [{ newName, newTag } = { newName: '', newTag: '' }] = kustomization.images
const image = `${newName}:${newTag}`
const config = parseConfig(readFileSync(`${manifests}base/config.yaml`, 'utf8'), 'config.yaml', { image })
const [policy] = objectsIn('exemptions/validating-admission-policy.yaml') as unknown as [Policy]
const sidecar = 'reprieve-sidecar'
const own = { name: 'main', image: 'ml-app:1', command: ['x'] }

function injected(): Pod {
  const after = inject(samplePod(), config)?.after
  if (after === undefined) throw new Error('the pod was not injected')
  return after
}

/** The messages of what the API server would deny. It leaves out fields that are null. */
function violated(pod: Pod, operation = 'CREATE'): string[] {
  const object = JSON.parse(JSON.stringify(pod)) as object
  return policy.spec.validations
    .filter(({ expression }) => evaluate(expression, { object, request: { operation } }) !== true)
    .map(({ message }) => message)
}

t.test('the policy lets through what Reprieve writes, and every other pod', async (t) => {
  t.equal(policy.spec.failurePolicy, 'Fail')
  t.same(violated(injected()), [])
  t.same(violated(samplePod()), [])
  const older = injected()
  containerIn(older, sidecar).image = `${newName}:0.1.0`
  t.same(violated(older, 'UPDATE'), [], 'a pod that runs with an earlier version may be debugged')
  const host = { name: 'root', hostPath: { path: '/' } }
  t.same(violated(samplePod({ spec: { containers: [own], volumes: [host] } })), [], 'nor is it about others')
  const digested = injected()
  containerIn(digested, sidecar).image = `${image}@sha256:${'0'.repeat(64)}`
  t.same(violated(digested), [])
})

t.test('and Reprieve’s own pods beside the control plane', async (t) => {
  const agent = { name: 'agent', image: `${newName}-control-plane:${newTag}`, command: ['x'] }
  t.same(violated(samplePod({ spec: { containers: [agent] } })), [], 'the node agent')
  for (const taken of ['', ':0.1.0', `@sha256:${'0'.repeat(64)}`])
    t.not(violated(samplePod({ spec: { containers: [{ ...own, image: newName + taken }] } })).length, 0)
  const [{ namespace }] = objectsIn('sweep/node/kustomization.yaml') as unknown as [{ namespace: string }]
  const [{ values }] = policy.spec.matchConstraints.namespaceSelector.matchExpressions
  t.ok(values.includes(namespace), 'a sweep has the image and the store of sidecars')
})

t.test('and what the guard lets others add to every container', async (t) => {
  const added = [...foreignVariables].map((name) => ({ name, value: 'x' }))
  const pod = injected()
  ;(containerIn(pod, sidecar).env as object[]).push(...added)
  const volumes = [
    { name: 'token', projected: { sources: [] } },
    { name: 'account', downwardAPI: { items: [] } },
  ]
  pod.spec.volumes?.push(...volumes)
  for (const { name } of volumes)
    (containerIn(pod, sidecar).volumeMounts as object[]).push({
      name,
      mountPath: `/var/run/secrets/${name}`,
      readOnly: true,
    })
  t.same(violated(pod), [])
})

const attacks: [string, () => Pod, RegExp][] = [
  ['a main container of our name', () => samplePod({ spec: { containers: [{ ...own, name: sidecar }] } }), /none of the pod's own/],
  ['a main container of our image', () => samplePod({ spec: { containers: [{ ...own, image }] } }), /none of the pod's own/],
  ['an init container of our image', () => samplePod({ spec: { containers: [own], initContainers: [{ ...own, name: 'i', image }] } }), /none of the pod's own/],
  ['another image', changed((pod) => (containerIn(pod, sidecar).image = 'evil')), /another image/],
  ['an image whose name begins with ours', changed((pod) => (containerIn(pod, sidecar).image = `${newName}evil@sha256:0`)), /another image/],
  ['a word in the command', changed((pod) => (containerIn(pod, sidecar).command as string[]).splice(5, 0, '--import=data:,x')), /another command/],
  ['another command for the restorer', changed((pod) => (containerIn(pod, 'reprieve-restore').command = ['sh'])), /another command/],
  ['arguments', changed((pod) => (containerIn(pod, sidecar).args = ['x'])), /arguments/],
  ['a hook', changed((pod) => (containerIn(pod, sidecar).lifecycle = {})), /hooks/],
  ['a variable', changed((pod) => (containerIn(pod, sidecar).env as object[]).push({ name: 'NODE_OPTIONS', value: 'x' })), /variable/],
  ['a mount', changed((pod) => (containerIn(pod, sidecar).volumeMounts as object[]).push({ name: 'h', mountPath: '/opt/reprieve' })), /mounts what/],
  ['privileged', changed((pod) => ((containerIn(pod, sidecar).securityContext as { privileged: boolean }).privileged = true)), /rights/],
  ['a capability', changed((pod) => (containerIn(pod, sidecar).securityContext as { capabilities: { add: string[] } }).capabilities.add.push('SYS_MODULE')), /rights/],
  ['another store', changed((pod) => Object.assign(pod.spec.volumes?.find(({ name }) => name === 'reprieve-store') ?? {}, { hostPath: { path: '/' } })), /volume of Reprieve's/],
  ['the store by another name', changed((pod) => pod.spec.volumes?.push({ name: 'x', hostPath: { path: '/var/lib/reprieve/store' } })), /volume of Reprieve's/],
  ['another staging', changed((pod) => Object.assign(pod.spec.volumes?.find(({ name }) => name === 'reprieve-staging') ?? {}, { emptyDir: undefined, hostPath: { path: '/' } })), /volume of Reprieve's/],
  ['staging in the application', changed((pod) => pod.spec.containers[0]?.volumeMounts?.push({ name: 'reprieve-staging', mountPath: '/x', readOnly: true })), /the pod's own mounts/],
  ['the whole store', changed((pod) => Object.assign((containerIn(pod, sidecar).volumeMounts as object[])[2] ?? {}, { subPathExpr: undefined })), /mounts what/],
  ['another namespace', changed((pod) => Object.assign((containerIn(pod, sidecar).env as { name: string }[]).find(({ name }) => name === 'REPRIEVE_NAMESPACE') ?? {}, { value: 'other', valueFrom: undefined })), /another namespace/],
  ['the store in the application', changed((pod) => pod.spec.containers[0]?.volumeMounts?.push({ name: 'reprieve-store', mountPath: '/x' })), /the pod's own mounts/],
] // prettier-ignore

function changed(change: (pod: Pod) => unknown): () => Pod {
  return () => {
    const pod = injected()
    change(pod)
    return pod
  }
}

t.test('and nothing that has a name or the image of Reprieve without being it', async (t) => {
  for (const [name, make, message] of attacks)
    t.ok(
      violated(make()).some((one) => message.test(one)),
      `${name}: ${violated(make()).join('; ')}`,
    )
})

t.test('the policy has the form that Kubernetes knows', async (t) => {
  t.same(await problemsOfKubernetes(objectsIn('exemptions/validating-admission-policy.yaml')), [])
})

t.test('an ephemeral container takes neither a name nor the image', async (t) => {
  for (const container of [{ name: sidecar }, { name: 'debugger', image }]) {
    const pod = samplePod()
    Object.assign(pod.spec, { ephemeralContainers: [container] })
    t.match(violated(pod, 'UPDATE'), [/none of the pod's own/])
  }
  const debugged = injected()
  Object.assign(debugged.spec, { ephemeralContainers: [{ name: 'debugger', image: 'busybox' }] })
  t.same(violated(debugged, 'UPDATE'), [])
})

t.test('the policy engines exempt the image that is installed, the store’s path, and no name', async (t) => {
  const [exception] = objectsIn('exemptions/kyverno.yaml') as unknown as [
    {
      spec: { conditions: { all: { key: string; value: unknown }[] }; podSecurity: { images?: string[] }[] }
    },
  ]
  const { all } = exception.spec.conditions
  const conditionOn = (text: string) => all.find(({ key }) => key.includes(text))?.value
  t.same(conditionOn('.command'), containerIn(injected(), sidecar).command)
  const path = config.stores.get('default')?.hostPath?.path
  t.equal(conditionOn('.hostPath.path'), path)
  const images = exception.spec.podSecurity.flatMap(({ images = [] }) => images)
  type Constraint = {
    kind: string
    spec: { parameters: { exemptImages?: string[]; allowedHostPaths?: object[] } }
  }
  const constraints = objectsIn('exemptions/gatekeeper.yaml') as unknown as Constraint[]
  images.push(...constraints.flatMap(({ spec }) => spec.parameters.exemptImages ?? []))
  t.ok(images.length > 5)
  for (const one of images) t.equal(one, image)
  t.same(
    constraints.flatMap(({ spec }) => spec.parameters.allowedHostPaths ?? []),
    [{ pathPrefix: path, readOnly: false }],
  )
})
