/** The webhook itself, as it is measured: its certificate, its process, and reviews of pods of any size. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { makeAuthority, makeLeaf } from '../../certs/authority.ts'
import type { Pod } from '../../webhook/pod.ts'
import { recorded } from '../../test/webhook/admission-fixtures.ts'
import { load, type Load, type Measured } from './https-load.ts'
import { clearAtEnd } from './report.ts'
import { serve, type Served } from './served.ts'

export const root = join(import.meta.dirname, '../..')
export const connections = 16

export type Contender = {
  name: string
  served: Served
  path: string
  check: (body: string) => void
}
/** By default reviews of the recorded pod that all differ, on all connections. */
export type Ask = (contender: Contender, more?: Partial<Load>) => Promise<Measured>
export type Ground = { folder: string; cert: string; key: string; ask: Ask }

export const deployment = recorded('create-deployment-pod').request

/** A folder with a certificate, and who asks servers that have it. */
export function prepareGround(): Ground {
  const folder = mkdtempSync('/var/tmp/reprieve-bench-')
  clearAtEnd(async () => rmSync(folder, { recursive: true, force: true }))
  const authority = makeAuthority('bench', { from: new Date(), days: 2 })
  const leaf = makeLeaf(authority, ['localhost'], { from: new Date(), days: 2 })
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  writeFileSync(cert, leaf.cert)
  writeFileSync(key, leaf.key)
  const ask: Ask = ({ served, path, check }, more = {}) =>
    load({
      port: served.port,
      path,
      check,
      ...allDifferent,
      authority: authority.cert,
      connections,
      ...more,
    })
  return { folder, cert, key, ask }
}

export async function ourWebhook({ folder, cert, key }: Ground): Promise<Contender> {
  const configuration = (port: number) => ({
    image: 'reprieve:bench',
    stores: { default: { hostPath: { path: '/var/lib/reprieve' } } },
    listen: { host: '127.0.0.1', port, adminHost: '127.0.0.1', adminPort: 0, certFile: cert, keyFile: key },
  })
  const served = await serve('the webhook', (port) => {
    const file = join(folder, 'config.yaml')
    writeFileSync(file, stringify(configuration(port)))
    return { argv: [...nodeFlags(), join(root, 'webhook/main.ts'), '--config', file] }
  })
  return { name: 'ours', served, path: '/mutate/namespace?timeout=10s', check: expectPatch }
}

/** What the manifest has Node run with. */
export function nodeFlags(): string[] {
  const text = readFileSync(join(root, 'manifests/base/deployment.yaml'), 'utf8')
  const { spec } = parse(text) as { spec: { template: { spec: { containers: { command: string[] }[] } } } }
  const [node, ...words] = spec.template.spec.containers[0]?.command ?? []
  const program = words.findIndex((word) => !word.startsWith('--'))
  if (node !== '/usr/local/bin/node' || program < 0)
    throw new Error('the manifest runs the webhook in another way')
  return words.slice(0, program)
}

/** What is kept once it is idle: not what a busy moment has not yet given back. */
export async function idleMiB(served: Served): Promise<number> {
  await delay(5000)
  return served.residentMiB()
}

type Different = Required<Pick<Load, 'body' | 'serial'>>

/** Digits that the recorded review has nowhere. */
const serial = '70318275'

/**
 * Reviews as the API server sends them of one controller's pods: each has another uid, and its pod another name and another volume for its
 * service account's token (`kube-api-access-XXXXX`).
 *
 * @param label of the pods, which is another on each: they are of as many templates
 */
export function reviewOf(
  pod: Pod,
  { indent = 0, label }: { indent?: number; label?: string } = {},
): Different {
  const text = JSON.stringify({ ...deployment, object: pod })
  const [prefix = ''] = deployment.uid.split('-').slice(-1)
  const request = JSON.parse(
    text
      .replaceAll(/kube-api-access-[a-z0-9]{5}/g, `kube-api-access-${serial}`)
      .replaceAll(prefix, prefix.slice(0, -serial.length) + serial),
  ) as { object: Pod }
  const { metadata } = request.object
  metadata.name = `${metadata.generateName}${serial}`
  if (label !== undefined) metadata.labels = { ...metadata.labels, [label]: serial }
  const review = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }
  return { body: Buffer.from(JSON.stringify(review, null, indent)), serial }
}

/** As the recorded one is written down. */
export const allDifferent = reviewOf(deployment.object as Pod, { indent: 2 })
/** Of which the webhook remembers nothing. */
export const allUnlike = reviewOf(deployment.object as Pod, { indent: 2, label: 'example.org/number' })

export function podOfContainers(count: number): Pod {
  const pod = structuredClone(deployment.object as Pod)
  const [first] = pod.spec.containers
  pod.spec.containers = Array.from({ length: count }, (_, index) => ({ ...first, name: `c${index}` }))
  return pod
}

/** Of a mebibyte, by what makes pods large: environment. */
export function largePod(): Pod {
  const pod = structuredClone(deployment.object as Pod)
  const env = Array.from({ length: 1024 }, (_, index) => ({
    name: `VARIABLE_${index}`,
    value: 'x'.repeat(1000),
  }))
  Object.assign(pod.spec.containers[0] ?? {}, { env })
  return pod
}

export function expectPatch(body: string): void {
  const { response } = JSON.parse(body) as { response?: { allowed?: boolean; patch?: string } }
  if (response?.allowed !== true || (response.patch ?? '').length < 1000)
    throw new Error(`not injected: ${body.slice(0, 500)}`)
}
