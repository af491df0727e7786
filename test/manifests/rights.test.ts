/** What the control plane may do in a cluster, and whom it lets do what: read off the manifests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { must } from '../../scripts/command.ts'
import {
  components,
  installable,
  manifests,
  objectsIn,
  objectsOf,
  rendered,
  type Manifest,
} from './rendered.ts'
import { kubectl } from './tools.ts'

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] }
type Role = Manifest & { rules: Rule[] }
type Binding = Manifest & { roleRef: { name: string }; subjects: { name: string; namespace: string }[] }

t.test('no installation reads Secrets of a namespace that did not let it', async (t) => {
  for (const folder of installable) {
    const roles = (await rendered(folder, components)).filter(({ kind }) => kind === 'ClusterRole') as Role[]
    const rules = roles.flatMap((role) => role.rules)
    t.ok(rules.length > 0)
    for (const { resources } of rules)
      t.notOk(resources.includes('secrets') || resources.includes('*'), folder)
  }
})

t.test('a namespace lets it by a role of its own, which names the account of the webhook', async (t) => {
  const folder = mkdtempSync(join(manifests, '../.reprieve-namespace-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const overlay = { namespace: 'team-a', resources: ['../manifests/pull-secrets'] }
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(overlay))
  const [role, binding, ...more] = objectsOf(await must([await kubectl(), 'kustomize', folder])) as [
    Role,
    Binding,
  ]
  t.same(more, [])
  t.match(role, { kind: 'Role', metadata: { namespace: 'team-a' } })
  t.same(role.rules, [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }])
  t.match(binding, {
    kind: 'RoleBinding',
    metadata: { namespace: 'team-a' },
    roleRef: { kind: 'Role', name: role.metadata.name },
    subjects: [{ kind: 'ServiceAccount', name: 'reprieve-webhook', namespace: 'reprieve-system' }],
  })
})

t.test('the role of operators gives exec, and is bound to nobody', async (t) => {
  const [role] = objectsIn('base/operator.yaml') as [Role]
  t.same(
    role.rules.map(({ apiGroups, resources, verbs }) => [apiGroups, resources, verbs].join(' ')),
    ['reprieve.dev sidecars exec', ' pods get', ' pods/log get', ' pods/exec get,create'],
  )
  const bindings = (await rendered('base')).filter(({ kind }) => kind.endsWith('Binding')) as Binding[]
  t.notOk(bindings.some(({ roleRef }) => roleRef.name === role.metadata.name))
})

t.test('the webhook may ask who is an operator', async (t) => {
  const [role] = objectsIn('base/rbac.yaml') as [Role]
  t.match(
    role.rules.find(({ resources }) => resources.includes('subjectaccessreviews')),
    { apiGroups: ['authorization.k8s.io'], verbs: ['create'] },
  )
})
