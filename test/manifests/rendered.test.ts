/** What `kubectl apply -k` would send, for each installation and each choice, is valid and consistent. */
import t from 'tap'
import { components, installable, rendered, type Manifest } from './rendered.ts'
import { isCustom, problemsOfKubernetes } from './schemas.ts'

const clusterWide = /^(Namespace|ClusterRole|ClusterRoleBinding|(Mutating|Validating)WebhookConfiguration)$/

/** Every installation as it is, with each choice, and with all of them. */
const choices = [[], ...components.map((component) => [component]), components]
const installations = await Promise.all(
  installable.flatMap((folder) =>
    choices.map(async (added) => ({
      name: [folder, ...added].join(' with '),
      added,
      objects: await rendered(folder, added),
    })),
  ),
)

function only(objects: Manifest[], kind: string): Manifest & { spec: Record<string, unknown> } {
  const [found, ...more] = objects.filter((object) => object.kind === kind)
  if (found === undefined || more.length > 0) throw new Error(`${more.length + 1} objects of kind ${kind}`)
  return found as Manifest & { spec: Record<string, unknown> }
}

t.test(
  'every object is as the OpenAPI documents of Kubernetes say, with no field that they do not know',
  async (t) => {
    const distinct = new Map(
      installations.flatMap(({ objects }) =>
        objects.map((object) => [JSON.stringify(object), object] as const),
      ),
    )
    t.ok(distinct.size > 15)
    t.same(await problemsOfKubernetes([...distinct.values()]), [])
  },
)

t.test('what Kubernetes would refuse is found', async (t) => {
  const [namespace] = installations[0]?.objects ?? []
  if (namespace === undefined) throw new Error('nothing was rendered')
  const wrong = [
    { ...namespace, spec: { finalisers: [] } },
    { ...namespace, metadata: { name: 7 } },
    { apiVersion: 'policy/v1', kind: 'Budget', metadata: { name: 'none' } },
  ] as Manifest[]
  const problems = await problemsOfKubernetes(wrong.slice(0, 2))
  t.ok(
    problems.some((problem) => problem.includes('"finalisers"')),
    problems.join('\n'),
  )
  t.ok(problems.some((problem) => problem.includes('metadata/name must be string')))
  t.match((await problemsOfKubernetes(wrong.slice(2)))[0], /^Budget\/none: Kubernetes has no Budget/)
})

t.test('every object has a name of its own, and lies in our namespace or in none', async (t) => {
  for (const { name, objects } of installations) {
    const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    t.equal(new Set(names).size, names.length, name)
    for (const { kind, metadata } of objects)
      t.equal(metadata.namespace, clusterWide.test(kind) ? undefined : 'reprieve-system', `${name}: ${kind}`)
  }
})

t.test('the control plane runs its own image, and injects the sidecar’s of the same version', async (t) => {
  type Container = { name: string; image: string; env?: { name: string; value: string }[] }
  for (const { name, objects } of installations) {
    const pods = objects.flatMap((object) =>
      object.kind === 'Deployment'
        ? [object.spec as { template: { spec: { containers: Container[] } } }]
        : [],
    )
    const containers = pods.flatMap(({ template }) => template.spec.containers)
    const webhook = containers.find((container) => container.name === 'webhook')
    t.match(webhook?.image, /^[\w.-]+\/.+\/reprieve-control-plane:.+/, name)
    const injected = webhook?.image.replace('-control-plane:', ':')
    t.equal(webhook?.env?.find((variable) => variable.name === 'REPRIEVE_IMAGE')?.value, injected, name)
    for (const { image } of containers) t.equal(image, webhook?.image, name)
  }
})

t.test(
  'a pod waits for the webhook only where that was chosen, and only one that asks by annotation',
  async (t) => {
    for (const { name, added, objects } of installations) {
      const { webhooks } = only(objects, 'MutatingWebhookConfiguration') as unknown as {
        webhooks: { name: string; failurePolicy: string; clientConfig: object }[]
      }
      const chosen = added.includes('components/annotated-fail-closed')
      t.same(
        webhooks.map((entry) => [entry.name, entry.failurePolicy]),
        [
          ['pod.reprieve.dev', chosen ? 'Fail' : 'Ignore'],
          ['namespace.reprieve.dev', 'Ignore'],
          ['restricted-namespace.reprieve.dev', 'Ignore'],
        ],
        name,
      )
      for (const { clientConfig } of webhooks)
        t.notOk(Object.hasOwn(clientConfig, 'caBundle'), 'a later apply must not wipe it')
    }
  },
)

t.test('nothing of others is needed, but where it was chosen', async (t) => {
  const chosen: Record<string, string> = {
    'cert-manager.io': 'cert-manager',
    'monitoring.coreos.com': 'components/monitoring',
  }
  for (const { name, objects } of installations) {
    const custom = objects.filter(isCustom).map(({ apiVersion }) => apiVersion.split('/')[0] ?? '')
    const expected = Object.keys(chosen).filter((group) => name.includes(chosen[group] ?? ''))
    t.same([...new Set(custom)].sort(), expected, name)
  }
})
