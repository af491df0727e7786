/**
 * The objects of a cluster in which certificates are kept, and their writes: the Secret that replicas of the webhook mount, and the caBundle of
 * both webhook configurations. Every write names the version that it replaces, so that one of two writers gets a conflict and reads again.
 */
import type { KubeAnswer, KubeApi } from '../src/kube-api.ts'
import { fileNames, type CertificateSet } from './certificate-set.ts'
import { refused } from './refused.ts'

/** `webhookConfiguration`: the name of both, the mutating and the validating one. */
export type ClusterNames = { namespace: string; secret: string; webhookConfiguration: string }

/** `conflict`: another writer has changed or deleted the object in between. */
export type Written = 'written' | 'conflict'

export type FoundSecret = {
  set: CertificateSet | undefined
  /** As it stands; undefined if there is none. */
  object: SecretObject | undefined
  /** The API server's. */
  now: Date
}

export type Configuration = { path: string; resourceVersion: string; entries: { caBundle: string }[] }

type SecretObject = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace: string; resourceVersion?: string; labels?: object }
  type: string
  data?: Record<string, string>
}
type ConfigurationObject = {
  metadata?: { resourceVersion?: string }
  webhooks?: { clientConfig?: { caBundle?: string } }[]
}

/** Either may be absent: an administrator who does not use the guard deletes its configuration. */
const kinds = ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'] as const

export async function readSecret(api: KubeApi, { namespace, secret }: ClusterNames): Promise<FoundSecret> {
  const found = await api('GET', `${folderOf(namespace)}/${secret}`)
  const now = found.date ?? new Date()
  if (found.status === 404) return { set: undefined, object: undefined, now }
  if (found.status !== 200) throw refused('read the Secret', secret, found)
  const object = found.body as SecretObject
  const text = (field: keyof CertificateSet) =>
    Buffer.from(object.data?.[fileNames[field]] ?? '', 'base64').toString('utf8')
  const set = {
    caBundle: text('caBundle'),
    caKey: text('caKey'),
    cert: text('cert'),
    key: text('key'),
    leaves: text('leaves'),
  }
  return { set, object, now }
}

/** @param found what it replaces; keys that others have added are kept */
export async function writeSecret(
  api: KubeApi,
  { namespace, secret }: ClusterNames,
  { object }: FoundSecret,
  set: CertificateSet,
): Promise<Written> {
  const data = Object.fromEntries(
    (Object.keys(fileNames) as (keyof CertificateSet)[]).map((field) => [
      fileNames[field],
      Buffer.from(set[field]).toString('base64'),
    ]),
  )
  const written =
    object === undefined
      ? await api('POST', folderOf(namespace), {
          apiVersion: 'v1',
          kind: 'Secret',
          type: 'kubernetes.io/tls',
          metadata: { name: secret, namespace, labels: { 'app.kubernetes.io/part-of': 'reprieve' } },
          data,
        })
      : await api('PUT', `${folderOf(namespace)}/${secret}`, { ...object, data: { ...object.data, ...data } })
  // 404: it was deleted since it was read.
  return outcomeOf(written, [409, ...(object === undefined ? [] : [404])], 'write the Secret', secret)
}

export async function readConfigurations(api: KubeApi, name: string): Promise<Configuration[]> {
  const read = await Promise.all(
    kinds.map(async (kind) => {
      const path = `/apis/admissionregistration.k8s.io/v1/${kind}/${name}`
      const found = await api('GET', path)
      if (found.status === 404) return []
      if (found.status !== 200) throw refused('read the webhook configuration', `${kind}/${name}`, found)
      const { metadata = {}, webhooks = [] } = found.body as ConfigurationObject
      const entries = webhooks.map(({ clientConfig }) => ({
        caBundle: Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('utf8'),
      }))
      return [{ path, resourceVersion: metadata.resourceVersion ?? '', entries }]
    }),
  )
  return read.flat()
}

/** Gives every entry the bundle. */
export async function publish(
  api: KubeApi,
  { path, resourceVersion, entries }: Configuration,
  caBundle: string,
): Promise<Written> {
  const value = Buffer.from(caBundle).toString('base64')
  const patched = await api(
    'PATCH',
    path,
    [
      // The positions below are those of this version.
      { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
      ...entries.flatMap((entry, index) =>
        entry.caBundle === caBundle
          ? []
          : [{ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }],
      ),
    ],
    'application/json-patch+json',
  )
  // 422: the test did not hold. Another reason for 422 becomes an error after some attempts.
  return outcomeOf(patched, [404, 409, 422], 'patch the webhook configuration', path)
}

function outcomeOf(written: KubeAnswer, conflicts: number[], what: string, name: string): Written {
  if (written.status === 200 || written.status === 201) return 'written'
  if (conflicts.includes(written.status)) return 'conflict'
  throw refused(what, name, written)
}

function folderOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/secrets`
}
