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
type ProcessContainer = { name: string; command: string[]; restartPolicy?: string }
type PodSpec = { containers: ProcessContainer[]; initContainers: ProcessContainer[] }

const root = new URL('../../manifests/', import.meta.url).pathname
const notObjects = new Set(['kustomization.yaml', 'config.yaml'])

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
function only<T = Manifest>(kind: string): T {
  const found = base.filter((object) => object.kind === kind)
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}`)
  return found[0] as T
}
const deployment = only<{ spec: { template: PodTemplate } }>('Deployment').spec.template

t.test('the pods of the webhook are valid, beyond what a schema can say', async (t) => {
  t.same(problemsOfCoreV1('PodTemplateSpec', deployment), [])
  t.same(problemsBeyondSchema(deployment), [])
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
  const { spec } = only<{ spec: { replicas: number; selector: object } }>('Deployment')
  const budget = only<{ spec: { maxUnavailable: number; selector: object } }>('PodDisruptionBudget').spec
  t.ok(spec.replicas > budget.maxUnavailable)
  t.strictSame(budget.selector, spec.selector)
})

t.test('the names that the certificates need are the same everywhere', async (t) => {
  const [certs] = deployment.spec.initContainers
  t.equal(certs?.restartPolicy, 'Always')
  const options = readOptions(certs?.command.slice(2) ?? [])
  const webhook = only('MutatingWebhookConfiguration')
  const service = only('Service')
  t.equal(options.cluster?.webhookConfiguration, webhook.metadata.name)
  t.ok(options.dnsNames.includes(`${service.metadata.name}.reprieve-system.svc`))
  const role = JSON.stringify(base.filter(({ kind }) => kind.endsWith('Role')))
  t.match(role, `"resourceNames":["${options.cluster?.secret}"]`)
  t.match(role, `"resourceNames":["${webhook.metadata.name}"]`)
  t.equal(options.cluster?.namespace, only('Namespace').metadata.name)
})

t.test('no right is a wildcard, and none looks at what was not named', async (t) => {
  const rights = JSON.stringify(base.filter(({ kind }) => kind.endsWith('Role')))
  t.notMatch(rights, '*')
  t.notMatch(rights, /"(list|watch|delete|deletecollection|escalate|bind|impersonate)"/)
})

t.test('every right is told with what it is for, and every role is bound to the one account', async (t) => {
  type Role = { rules: { resources: string[]; resourceNames?: string[]; verbs: string[] }[] }
  const told = readFileSync(join(root, 'base/rbac.yaml'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('#   '))
    .join('\n')
  for (const object of base.filter(({ kind }) => kind.endsWith('Role')))
    for (const { resources, resourceNames = [''], verbs } of (object as unknown as Role).rules)
      for (const resource of resources)
        for (const name of resourceNames)
          t.match(
            told,
            new RegExp(`${resource}${name === '' ? '' : `/${name}`}\\b.* ${verbs.join(', ')} `),
            `${resource} ${name}: ${verbs.join(', ')}`,
          )
  const roles = base.filter(({ kind }) => kind.endsWith('Role'))
  const bindings = base.filter(({ kind }) => kind.endsWith('RoleBinding'))
  t.equal(roles.length, bindings.length)
  for (const binding of bindings)
    t.match(binding, {
      roleRef: { name: binding.metadata.name },
      subjects: [
        { kind: 'ServiceAccount', name: only('ServiceAccount').metadata.name, namespace: 'reprieve-system' },
      ],
    })
})
