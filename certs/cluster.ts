/**
 * The certificates of a cluster: kept in one Secret, which all replicas share, and trusted through the webhook
 * configuration's caBundle. Every step may be done by several replicas at once: the Secret's resourceVersion lets one
 * win, and the others take what it wrote.
 */
import { ReprieveError } from '../src/errors.ts'
import { fileNames } from './files.ts'
import type { KubeApi } from '../src/kube-api.ts'
import { renew, type CertificateSet, type RenewalTerms } from './renewal.ts'

/** `webhookConfiguration`: the name of both, the mutating and the validating one. */
export type ClusterNames = { namespace: string; secret: string; webhookConfiguration: string }

/** The guard's first: nothing that it looks at is made before the other one is trusted as well. */
const configurations = ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'] as const

const maxAttempts = 5

/** Reads, renews and writes the Secret. */
export async function ensureSecret(
  api: KubeApi,
  names: ClusterNames,
  terms: RenewalTerms,
): Promise<{ set: CertificateSet; changed: string[] }> {
  const folder = `/api/v1/namespaces/${names.namespace}/secrets`
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const found = await api('GET', `${folder}/${names.secret}`)
    if (found.status !== 200 && found.status !== 404)
      throw failed('read the Secret', names.secret, found.status)
    const { set, changed } = renew(found.status === 200 ? setOf(found.body) : undefined, terms)
    if (changed.length === 0) return { set, changed }
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: {
        name: names.secret,
        namespace: names.namespace,
        labels: { 'app.kubernetes.io/part-of': 'reprieve' },
        ...(found.status === 200 ? { resourceVersion: resourceVersionOf(found.body) } : {}),
      },
      data: Object.fromEntries(
        (Object.keys(fileNames) as (keyof CertificateSet)[]).map((field) => [
          fileNames[field],
          Buffer.from(set[field]).toString('base64'),
        ]),
      ),
    }
    const written =
      found.status === 200
        ? await api('PUT', `${folder}/${names.secret}`, secret)
        : await api('POST', folder, secret)
    if (written.status === 200 || written.status === 201) return { set, changed }
    // 409: another replica was first, and what it wrote will do.
    if (written.status !== 409) throw failed('write the Secret', names.secret, written.status)
  }
  throw new ReprieveError(
    'deadline-passed',
    `Secret ${names.secret} kept changing; tried ${maxAttempts} times`,
  )
}

/** Gives every entry of both configurations the bundle, if it has another. */
export async function ensureTrust(api: KubeApi, names: ClusterNames, caBundle: string): Promise<boolean> {
  let changed = false
  for (const kind of configurations) changed = (await ensureTrustIn(kind, api, names, caBundle)) || changed
  return changed
}

async function ensureTrustIn(
  kind: (typeof configurations)[number],
  api: KubeApi,
  names: ClusterNames,
  caBundle: string,
): Promise<boolean> {
  const path = `/apis/admissionregistration.k8s.io/v1/${kind}/${names.webhookConfiguration}`
  const found = await api('GET', path)
  if (found.status !== 200)
    throw failed('read the webhook configuration', names.webhookConfiguration, found.status)
  const encoded = Buffer.from(caBundle).toString('base64')
  const operations = entriesOf(found.body).flatMap((entry, index) =>
    entry.clientConfig?.caBundle === encoded
      ? []
      : [
          // The entry's name guards the position: the list may have been changed since it was read.
          { op: 'test', path: `/webhooks/${index}/name`, value: entry.name },
          { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: encoded },
        ],
  )
  if (operations.length === 0) return false
  const patched = await api('PATCH', path, operations, 'application/json-patch+json')
  if (patched.status !== 200)
    throw failed('patch the webhook configuration', names.webhookConfiguration, patched.status)
  return true
}

type Entry = { name: string; clientConfig?: { caBundle?: string } }

function entriesOf(body: unknown): Entry[] {
  const webhooks = (body as { webhooks?: Entry[] } | undefined)?.webhooks
  return Array.isArray(webhooks) ? webhooks : []
}

function setOf(body: unknown): CertificateSet {
  const data = (body as { data?: Record<string, string> } | undefined)?.data ?? {}
  const text = (name: string) => Buffer.from(data[name] ?? '', 'base64').toString('utf8')
  return {
    caBundle: text(fileNames.caBundle),
    caKey: text(fileNames.caKey),
    cert: text(fileNames.cert),
    key: text(fileNames.key),
  }
}

function resourceVersionOf(body: unknown): string {
  return (body as { metadata?: { resourceVersion?: string } } | undefined)?.metadata?.resourceVersion ?? ''
}

function failed(what: string, name: string, status: number): ReprieveError {
  return new ReprieveError('command-failed', `could not ${what} ${name}: the API server answered ${status}`, {
    status,
  })
}
