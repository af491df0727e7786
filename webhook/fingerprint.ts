/**
 * The parts of a container's template that a running process has taken in, each hashed, and one hash over all of them. A part that a
 * controller or the API server makes up for each pod must not be among them, or no checkpoint would ever be restored.
 */
import { hash } from 'node:crypto'
import type { WorkParts } from '../src/work.ts'
import { workPartsLimits } from '../src/work.ts'
import { canonical, type Part } from './canonical.ts'
import { at, listAt } from './json-path.ts'
import { isSpawned, resourceVariables } from './jupyterhub.ts'
import { mountParts } from './mount-parts.ts'
import { matches } from './name-patterns.ts'
import type { Container, Pod } from './pod.ts'

/** Lists of patterns (name-patterns.ts). */
export type FingerprintRules = {
  /** Annotations beside `restartMarks` that are changed to force a restart. */
  annotations: readonly string[]
  /** Variables that a controller sets anew for each pod. */
  withoutEnv: readonly string[]
}

/** Beyond these only the fingerprint tells: what an API server accepts has fewer. */
const mostGroups = 25

export type Fingerprint = { fingerprint: string; parts: WorkParts }

/** Annotations that people and controllers change to force a restart: kubectl, Helm charts, Reloader, Wave and Rancher. */
export const restartMarks = [
  'kubectl.kubernetes.io/restartedAt',
  'checksum/*',
  'reloader.stakater.com/last-reloaded-from',
  'wave.pusher.com/config-hash',
  'cattle.io/timestamp',
] as const

/** They tell the launcher how long it waits, and the application nothing. */
const ownVariables = 'REPRIEVE_*'

/** @param command the container's own, or what its image runs */
export function fingerprintOf(
  pod: Pod,
  container: Container,
  command: readonly string[],
  rules: FingerprintRules,
): Fingerprint {
  const parts = [
    ...commandParts(container, command),
    ...envParts(container, [ownVariables, ...rules.withoutEnv, ...(isSpawned(pod) ? resourceVariables : [])]),
    ...mountParts(pod, container),
    ...securityParts(pod, container),
    ...annotationParts(pod, [...restartMarks, ...rules.annotations]),
  ].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { fingerprint: sha256(JSON.stringify(parts)), parts: hashed(parts) }
}

function commandParts(container: Container, command: readonly string[]): Part[] {
  const { image, args, workingDir } = container
  const given = { image, command, args: (args ?? []).length > 0 ? args : undefined, workingDir }
  return partsOf(given, '')
}

function envParts(container: Container, without: readonly string[]): Part[] {
  const byName = new Map<string, unknown[]>()
  for (const variable of listAt(at(container, 'env'))) {
    const name = at(variable, 'name')
    if (typeof name !== 'string' || matches(name, without)) continue
    const [value, valueFrom] = [at(variable, 'value'), at(variable, 'valueFrom')]
    byName.set(name, [...(byName.get(name) ?? []), { value, valueFrom }])
  }
  const envFrom = listAt(at(container, 'envFrom'))
  return [
    ...[...byName].map(([name, values]): Part => [`env ${name}`, canonical(values)]),
    ...partsOf({ envFrom: envFrom.length > 0 ? envFrom : undefined }, ''),
  ]
}

/** The container's own word beats the pod's, as for the kubelet. */
function securityParts(pod: Pod, container: Container): Part[] {
  const { hostIPC, hostNetwork, hostPID, hostUsers } = pod.spec
  const profile = `container.apparmor.security.beta.kubernetes.io/${container.name}`
  const context = { ...record(pod.spec.securityContext), ...present(record(container.securityContext)) }
  const account = at(pod.spec, 'serviceAccountName')
  return [
    ...partsOf(context, 'securityContext.'),
    ...partsOf({ 'securityContext.appArmorProfile (annotation)': at(pod.metadata.annotations, profile) }, ''),
    ...partsOf({ hostIPC, hostNetwork, hostPID }, '', false),
    ...partsOf({ hostUsers }, '', true),
    ...partsOf({ runtimeClassName: at(pod.spec, 'runtimeClassName') }, ''),
    // Set by the admission plugin ServiceAccount where the owner says nothing.
    ...partsOf({ serviceAccountName: account }, '', 'default'),
  ]
}

function annotationParts(pod: Pod, marks: readonly string[]): Part[] {
  const annotations = Object.entries(pod.metadata.annotations ?? {})
  return annotations
    .filter(([name]) => matches(name, marks))
    .map(([name, value]) => [`annotation ${name}`, JSON.stringify(value)])
}

/** The fields that say something. @param fallback the value of a field that is left out */
function partsOf(fields: Record<string, unknown>, prefix: string, fallback?: unknown): Part[] {
  return Object.entries(fields).flatMap(([name, value]): Part[] => {
    if (value === null || value === undefined || value === '' || value === fallback) return []
    const text = canonical({ [name]: value })
    return text === 'null' ? [] : [[prefix + name, text]]
  })
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  )
}

/** Where the parts are many, variables are one part and mounts another: the plan is one environment variable, which the kernel bounds. */
function hashed(parts: readonly Part[]): WorkParts {
  // The length is known before a mebibyte of variables is hashed.
  const each = Object.fromEntries(parts.map(([name]) => [shortName(name), ' '.repeat(shortHashLength)]))
  if (JSON.stringify(each).length <= workPartsLimits.planBytes)
    return Object.fromEntries(parts.map(([name, text]) => [shortName(name), shortHash(text)]))
  const groups = Map.groupBy(parts, ([name]) => name.split(' ')[0] ?? '')
  const byGroup = [...groups].map(([group, all]) => [shortName(group), shortHash(JSON.stringify(all))])
  return Object.fromEntries(byGroup.slice(0, mostGroups)) as WorkParts
}

function shortName(name: string): string {
  return name.slice(0, 100).toWellFormed()
}

const shortHashLength = 12

function shortHash(text: string): string {
  return sha256(text).slice(0, shortHashLength)
}

function sha256(text: string): string {
  return hash('sha256', text, 'hex')
}
