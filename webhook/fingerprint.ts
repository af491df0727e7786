/**
 * The parts of a container's template that a running process has taken in, each hashed, and one hash over all of them. A part that a
 * controller or the API server makes up for each pod must not be among them, or no checkpoint would ever be restored.
 */
import { createHash, hash } from 'node:crypto'
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
  const written = parts.map((part) => [part[0], JSON.stringify(part)] as const)
  return { fingerprint: hashOfList(written), parts: hashed(parts, written) }
}

function commandParts(container: Container, command: readonly string[]): Part[] {
  const { image, args, workingDir } = container
  const given = { image, command, args: (args ?? []).length > 0 ? args : undefined, workingDir }
  return partsOf(given, '')
}

function envParts(container: Container, without: readonly string[]): Part[] {
  const variables = listAt(at(container, 'env')).flatMap((variable) => {
    const [name, value, valueFrom] = ['name', 'value', 'valueFrom'].map((field) => at(variable, field))
    return typeof name !== 'string' || matches(name, without) ? [] : [{ name, given: { value, valueFrom } }]
  })
  const byName = Map.groupBy(variables, ({ name }) => name)
  const envFrom = listAt(at(container, 'envFrom'))
  return [
    ...[...byName].map(([name, all]): Part => [`env ${name}`, canonical(all.map(({ given }) => given))]),
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

/** The name of a part, and the JSON of both. */
type Written = readonly [name: string, json: string]

/** Where the parts are many, variables are one part and mounts another: the plan is one environment variable, which the kernel bounds. */
function hashed(parts: readonly Part[], written: readonly Written[]): WorkParts {
  if (fitsPlan(parts))
    return Object.fromEntries(parts.map(([name, text]) => [shortName(name), shortHash(text)]))
  const groups = Map.groupBy(written, ([name]) => name.split(' ')[0] ?? '')
  const byGroup = [...groups].map(([group, all]) => [
    shortName(group),
    hashOfList(all).slice(0, shortHashLength),
  ])
  return Object.fromEntries(byGroup.slice(0, mostGroups)) as WorkParts
}

/** Whether the JSON of one hash for each name is short enough: known before a mebibyte of variables is hashed. */
function fitsPlan(parts: readonly Part[]): boolean {
  const hash = ' '.repeat(shortHashLength)
  const names = new Set(parts.map(([name]) => shortName(name)))
  if (names.size * shortHashLength > workPartsLimits.planBytes) return false
  const each = Object.fromEntries([...names].map((name) => [name, hash]))
  return JSON.stringify(each).length <= workPartsLimits.planBytes
}

/** Of the JSON of the list. It is never made: to join and to copy a mebibyte takes as long as to hash it. */
function hashOfList(written: readonly Written[]): string {
  const sum = createHash('sha256')
  for (const [index, [, json]] of written.entries()) sum.update(index === 0 ? '[' : ',').update(json)
  return sum.update(written.length === 0 ? '[]' : ']').digest('hex')
}

function shortName(name: string): string {
  return name.slice(0, 100).toWellFormed()
}

const shortHashLength = 12

function shortHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, shortHashLength)
}
