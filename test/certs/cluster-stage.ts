/** A cluster with Reprieve's objects in it, and what the tests of certificates ask of it. */
import { X509Certificate } from 'node:crypto'
import { certificatesIn, type CertificateSet } from '../../certs/certificate-set.ts'
import { keepInCluster, type Cluster } from '../../certs/keep.ts'
import { Lease } from '../../certs/lease.ts'
import { Settling } from '../../certs/settling.ts'
import type { Terms } from '../../certs/rotation.ts'
import { TestApiServer, type Stored } from './api-server.ts'

export const names = {
  namespace: 'reprieve-system',
  secret: 'reprieve-certs',
  webhookConfiguration: 'reprieve',
}
export const secretPath = `/api/v1/namespaces/${names.namespace}/secrets/${names.secret}`
export const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${names.namespace}/leases/${names.secret}`
const configurations = '/apis/admissionregistration.k8s.io/v1'
export const mutatingPath = `${configurations}/mutatingwebhookconfigurations/reprieve`
export const guardPath = `${configurations}/validatingwebhookconfigurations/reprieve`

export const serviceHost = 'reprieve-webhook.reprieve-system.svc'
export const terms: Terms = { dnsNames: [serviceHost], caDays: 300, leafDays: 90 }
/** Of certificates that are looked at and not served: TLS wants larger keys, which take ten times as long to make. */
export const quickTerms: Terms = { ...terms, keyBits: 1024 }
export const dayMs = 86_400_000

type Test = { teardown: (done: () => unknown) => unknown }

export async function openCluster(
  test: Test,
  present = { mutating: true, guard: true },
): Promise<TestApiServer> {
  const server = await TestApiServer.start(test)
  const service = { name: 'reprieve-webhook', namespace: names.namespace }
  const entries = (...all: string[]) => all.map((name) => ({ name, clientConfig: { service } }))
  if (present.mutating)
    server.put(mutatingPath, {
      kind: 'MutatingWebhookConfiguration',
      metadata: {},
      webhooks: entries('pod.reprieve.dev', 'namespace.reprieve.dev'),
    })
  if (present.guard)
    server.put(guardPath, {
      kind: 'ValidatingWebhookConfiguration',
      metadata: {},
      webhooks: entries('exec.reprieve.dev'),
    })
  return server
}

type KeeperOptions = {
  identity?: string
  /** Its monotonic milliseconds. */
  clock?: () => number
  settleMs?: number
  timeoutMs?: number
  /** `terms` where the certificates are to be served. */
  keeps?: Terms
}

/** One process that keeps certificates. */
export function keeper(
  server: TestApiServer,
  options: KeeperOptions = {},
): Cluster & { pass: () => ReturnType<typeof keepInCluster> } {
  const { identity = 'one', clock = () => performance.now(), settleMs = 0, timeoutMs = 60_000 } = options
  const api = server.api(timeoutMs)
  const lease = new Lease({ api, namespace: names.namespace, name: names.secret, identity, clock })
  const cluster = { api, names, lease, settling: new Settling(settleMs, clock) }
  return { ...cluster, pass: () => keepInCluster(cluster, options.keeps ?? quickTerms) }
}

export function secretIn(server: TestApiServer): CertificateSet {
  const data = server.objects.get(secretPath)?.data ?? {}
  const text = (name: string) => Buffer.from(data[name] ?? '', 'base64').toString()
  return {
    caBundle: text('ca.crt'),
    caKey: text('ca.key'),
    cert: text('tls.crt'),
    key: text('tls.key'),
    leaves: text('leaves.json'),
  }
}

/** The caBundle of every entry that there is. */
export function bundlesIn(server: TestApiServer): string[] {
  return [mutatingPath, guardPath]
    .flatMap((path): Stored[] => [server.objects.get(path) ?? []].flat())
    .flatMap(({ webhooks = [] }) => webhooks)
    .map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString())
}

/** Whether a client that trusts the bundle would take the leaf at that time. */
export function isTrusted(cert: string, bundle: string, at: Date): boolean {
  const leaf = new X509Certificate(cert)
  return (
    isValid(leaf, at) &&
    certificatesIn(bundle).some(
      (authority) =>
        isValid(authority, at) && leaf.checkIssued(authority) && leaf.verify(authority.publicKey),
    )
  )
}

function isValid(certificate: X509Certificate, at: Date): boolean {
  return certificate.validFromDate <= at && at < certificate.validToDate
}
