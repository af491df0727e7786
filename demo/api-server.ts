/** What an API server does with a new pod, as far as the story needs one: it asks the webhook, applies its patch, names it. */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import jsonPatch, { type Operation } from 'fast-json-patch'
import { parse } from 'yaml'
import type { PodManifest } from '../test/harness/manifest.ts'
import type { WebhookProcess } from './webhook-process.ts'
import type { Workload } from './workloads.ts'

const tokenVolume = 'kube-api-access'

type Response = { allowed: boolean; patch?: string; warnings?: string[]; status?: { message: string } }

/** The pod as the Job controller sends it. Each has a token volume of a new name, as the API server makes it. */
export function newPod(workload: Workload): PodManifest {
  const pod = parse(readFileSync(join(import.meta.dirname, 'pod.yaml'), 'utf8')) as PodManifest
  const volume = `${tokenVolume}-${suffix()}`
  const mounts = pod.spec.containers.flatMap(({ volumeMounts }) => volumeMounts ?? [])
  for (const named of [...(pod.spec.volumes ?? []), ...mounts])
    if (named.name === tokenVolume) named.name = volume
  for (const container of pod.spec.containers)
    container.env = [
      { name: 'STEPS', value: String(workload.steps) },
      { name: 'STEP_MS', value: String(workload.stepMs) },
    ]
  return pod
}

/** @throws Error with the webhook's words if it refuses the pod */
export async function admit(
  pod: PodManifest,
  webhook: WebhookProcess,
): Promise<{ admitted: PodManifest; operations: number; tookMs: number }> {
  const began = performance.now()
  const { response } = (await webhook.post(reviewOf(pod))) as { response: Response }
  const tookMs = performance.now() - began
  if (!response.allowed) throw new Error(`the webhook refused the pod: ${response.status?.message ?? ''}`)
  if (response.patch === undefined)
    throw new Error(
      `the webhook did not touch the pod: ${response.warnings?.join('; ') ?? 'no reason given'}`,
    )
  const operations = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Operation[]
  const admitted = jsonPatch.applyPatch(structuredClone(pod), operations, true).newDocument
  return { admitted, operations: operations.length, tookMs }
}

/** The name is made up after admission. */
export function named(pod: PodManifest): PodManifest & { metadata: { name: string } } {
  const { generateName, ...metadata } = pod.metadata
  return { ...pod, metadata: { ...metadata, name: `${generateName ?? ''}${suffix()}`, uid: randomUUID() } }
}

/** The same pod, had its owner not written the annotation. */
export function withoutAnnotation(pod: PodManifest): PodManifest {
  const { 'reprieve.dev/checkpoint': _, ...annotations } = pod.metadata.annotations ?? {}
  return { ...pod, metadata: { ...pod.metadata, annotations } }
}

function reviewOf(pod: PodManifest): object {
  const kind = { group: '', version: 'v1', kind: 'Pod' }
  const resource = { group: '', version: 'v1', resource: 'pods' }
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: randomUUID(),
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      namespace: pod.metadata.namespace,
      operation: 'CREATE',
      userInfo: { username: 'system:serviceaccount:kube-system:job-controller', uid: randomUUID() },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  }
}

/** Five characters, as k8s.io/apimachinery/pkg/util/rand makes them. */
function suffix(): string {
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  return [...randomBytes(5)].map((byte) => letters[byte % letters.length]).join('')
}
