import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { readOptions } from '../../certs/options.ts'
import { parseConfig } from '../../src/config.ts'
import { problemsBeyondSchema, problemsOfCoreV1 } from '../webhook/core-v1.ts'

type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string }
  [field: string]: unknown
}
type PodTemplate = { metadata: { annotations?: Record<string, string> }; spec: PodSpec }
type ProcessContainer = {
  name: string
  command: string[]
  restartPolicy?: string
  securityContext: Record<string, unknown>
}
type PodSpec = {
  containers: ProcessContainer[]
  volumes: { name: string; secret?: { secretName: string; items: { key: string; path: string }[] } }[]
}

const root = new URL('../../manifests/', import.meta.url).pathname
const notObjects = new Set(['kustomization.yaml', 'config.yaml', 'image-fields.yaml'])

function documentsIn(file: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(join(root, file), 'utf8'))
  if (!Array.isArray(documents)) throw new Error(`${file} is empty`)
  for (const { errors } of documents) if (errors[0] !== undefined) throw errors[0]
  return documents.map((document) => document.toJS() as Manifest)
}

function objectsIn(folder: string): { file: string; object: Manifest }[] {
  return readdirSync(join(root, folder))
    .filter((file) => !notObjects.has(file))
    .flatMap((file) => documentsIn(join(folder, file)).map((object) => ({ file, object })))
}

const base = objectsIn('base').map(({ object }) => object)
/** @param name where there are several of the kind */
function only<T = Manifest>(kind: string, name?: string): T {
  const found = base.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  )
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}`)
  return found[0] as T
}
const podOf = (name: string) =>
  only<{ spec: { template: PodTemplate } }>('Deployment', name).spec.template.spec
const webhookPod = podOf('reprieve-webhook')
const certsPod = podOf('reprieve-certs')

t.test('the pods of the control plane are valid, beyond what a schema can say', async (t) => {
  for (const name of ['reprieve-webhook', 'reprieve-certs']) {
    const { template } = only<{ spec: { template: PodTemplate } }>('Deployment', name).spec
    t.same(problemsOfCoreV1('PodTemplateSpec', template), [], name)
    t.same(problemsBeyondSchema(template), [], name)
  }
})

t.test('a kustomization names every file of its folder, and only those', async (t) => {
  const [kustomization] = documentsIn('base/kustomization.yaml') as unknown as [{ resources: string[] }]
  const files = readdirSync(join(root, 'base')).filter((file) => !notObjects.has(file))
  t.same(kustomization.resources.toSorted(), files.toSorted())
})

t.test('both configurations are valid, with the image that the deployment gives', async (t) => {
  for (const folder of ['base', 'overlays/e2e']) {
    const file = join(root, folder, 'config.yaml')
    const config = parseConfig(readFileSync(file, 'utf8'), file, { image: 'given:1' })
    t.equal(config.image, 'given:1', folder)
    t.equal(config.namespace, 'reprieve-system')
  }
})

t.test('a drain leaves a replica to answer for the pods that it evicts', async (t) => {
  const { spec } = only<{ spec: { replicas: number; selector: object } }>('Deployment', 'reprieve-webhook')
  const budget = only<{ spec: { maxUnavailable: number; selector: object } }>('PodDisruptionBudget').spec
  t.ok(spec.replicas > budget.maxUnavailable)
  t.strictSame(budget.selector, spec.selector)
})

t.test('the names that the certificates need are the same everywhere', async (t) => {
  const options = readOptions(certsPod.containers[0]?.command.slice(2) ?? [])
  if (options.where !== 'cluster') throw new Error('certificates are kept in a folder')
  const { names, terms } = options
  const webhook = only('MutatingWebhookConfiguration')
  t.equal(names.webhookConfiguration, webhook.metadata.name)
  t.equal(names.webhookConfiguration, only('ValidatingWebhookConfiguration').metadata.name)
  t.ok(terms.dnsNames.includes(`${only('Service').metadata.name}.reprieve-system.svc`))
  t.equal(names.namespace, only('Namespace').metadata.name)
  const role = JSON.stringify(base.filter(({ kind }) => kind.endsWith('Role')))
  t.match(role, `"resources":["secrets"],"resourceNames":["${names.secret}"]`)
  t.match(role, `"resources":["leases"],"resourceNames":["${names.secret}"]`)
  t.match(role, `"resourceNames":["${webhook.metadata.name}"]`)
  const file = join(root, 'base/config.yaml')
  const { listen } = parseConfig(readFileSync(file, 'utf8'), file, { image: 'given:1' })
  t.equal(listen.webhookConfiguration, webhook.metadata.name)
  const mounted = webhookPod.volumes.find(({ name }) => name === 'certs')?.secret
  t.equal(mounted?.secretName, names.secret)
  t.same(
    mounted?.items.map(({ path }) => `/run/reprieve/certs/${path}`),
    [listen.certFile, listen.keyFile],
    'the leaf and its key, and not the key of the CA',
  )
})

t.test('no right is a wildcard, and none looks at what was not named', async (t) => {
  const rights = JSON.stringify(base.filter(({ kind }) => kind.endsWith('Role')))
  t.notMatch(rights, '*')
  t.notMatch(rights, /"(list|watch|delete|deletecollection|escalate|bind|impersonate)"/)
})

t.test('what anybody’s requests reach can write nothing', async (t) => {
  type Role = { metadata: { name: string }; rules: { resources: string[]; verbs: string[] }[] }
  for (const { metadata, rules } of base.filter(({ kind }) => kind.endsWith('Role')) as unknown as Role[])
    if (metadata.name === 'reprieve-webhook')
      t.ok(
        rules.every(({ resources, verbs }) =>
          // A review is created to be answered, and is kept nowhere.
          verbs.every((verb) => verb === 'get' || resources.join() === 'subjectaccessreviews'),
        ),
        metadata.name,
      )
})

t.test('with cert-manager the certificates are its own, and nothing is left of ours', async (t) => {
  type Patch = { target: { kind?: string; name: string }; patch: string }
  type Certificate = Manifest & {
    spec: { secretName: string; dnsNames: string[]; issuerRef: { name: string } }
  }
  const folder = 'overlays/cert-manager'
  const [kustomization] = documentsIn(join(folder, 'kustomization.yaml')) as unknown as [{ patches: Patch[] }]
  const made = objectsIn(folder).map(({ object }) => object)
  const [leaf] = made.filter(({ metadata }) => metadata.name === 'reprieve-webhook') as Certificate[]
  const ours = readOptions(certsPod.containers[0]?.command.slice(2) ?? [])
  t.same(leaf?.spec.dnsNames, ours.terms.dnsNames)
  t.ok(made.some(({ kind, metadata }) => kind === 'Issuer' && metadata.name === leaf?.spec.issuerRef.name))
  const patchOf = (name: string) =>
    kustomization.patches.find(({ target }) => target.name === name)?.patch ?? ''
  t.match(patchOf('reprieve-certs'), /^\$patch: delete$/m)
  t.same(
    base.filter(({ metadata }) => metadata.name === 'reprieve-certs').map(({ kind }) => kind),
    base.filter(({ metadata }) => metadata.name.startsWith('reprieve-certs')).map(({ kind }) => kind),
    'all of ours go by that name',
  )
  t.match(patchOf('reprieve'), `cert-manager.io/inject-ca-from: reprieve-system/${leaf?.metadata.name}`)
  t.match(patchOf('reprieve-webhook'), new RegExp(`secretName: ${leaf?.spec.secretName}$`))
})

t.test('every right is told with what it is for, and every role is bound to its account', async (t) => {
  type Role = { rules: { resources: string[]; resourceNames?: string[]; verbs: string[] }[] }
  /** That of operators is for people, and bound by an administrator (rights.test.ts). */
  const roles = base.filter(
    ({ kind, metadata }) => kind.endsWith('Role') && metadata.name !== 'reprieve-operator',
  )
  const accounts = new Map([
    ['reprieve-certs', 'certs-rbac.yaml'],
    ['reprieve-webhook', 'rbac.yaml'],
  ])
  for (const object of roles) {
    const told = readFileSync(join(root, 'base', accounts.get(object.metadata.name) ?? ''), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('#   '))
      .join('\n')
    for (const { resources, resourceNames = [''], verbs } of (object as unknown as Role).rules)
      for (const resource of resources)
        for (const name of resourceNames)
          t.match(
            told,
            new RegExp(`${resource}${name === '' ? '' : `/${name}`}\\b.* ${verbs.join(', ')} `),
            `${resource} ${name}: ${verbs.join(', ')}`,
          )
  }
  const bindings = base.filter(({ kind }) => kind.endsWith('RoleBinding'))
  t.equal(roles.length, bindings.length)
  for (const binding of bindings) {
    const { name } = binding.metadata
    t.match(binding, {
      roleRef: { name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: 'reprieve-system' }],
    })
    t.ok(only('ServiceAccount', name))
  }
})
