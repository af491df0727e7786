/**
 * The patch that carries out a decision: explicit RFC 6902 operations, never a difference of two pods, since a
 * difference of lists rewrites what it only meant to prepend. Pure.
 */
import { injectedLabel } from '../src/annotations.ts'
import type { Config, StoreVolume } from '../src/config.ts'
import type { PodPlan } from '../src/pod-plan.ts'
import { volumeRoot } from '../src/volume.ts'
import { requestsForScaling, safeToEvictAnnotation, safeToEvictValue } from './autoscalers.ts'
import type { Commands } from './entrypoints.ts'
import { goListenerOperations } from './go-listeners.ts'
import { grantedCapabilities } from './added-capabilities.ts'
import { injectedNames } from './image-paths.ts'
import { looksInjected } from './injected.ts'
import { injectedContainers } from './injected-containers.ts'
import { raisesFor } from './more-memory.ts'
import { patchText, type Operation } from './patch-text.ts'
import type { Container, Pod, Volume } from './pod.ts'
import { prestopCommand } from './prestop-hook.ts'
import { launched, renewalOperations } from './renewal.ts'
import { qosClassOf } from './quality-of-service.ts'
import { seccompOperations, seccompWarning } from './seccomp-profile.ts'

/** How much later than its budget a checkpoint that hangs is given up (`answerGraceMs` of sidecar/container/queue.ts). */
const answerSeconds = 5

export type Patch = {
  operations: Operation[]
  /** The operations' JSON. */
  text: string
  warnings: string[]
}

/** Kubernetes' own, for a pod that says nothing. */
const defaultGraceSeconds = 30

/** Of a protected container. */
export const launcherMount = { name: injectedNames.volume, mountPath: volumeRoot, readOnly: true }

/** Staging is a volume of its own, which no container of the owner's mounts: it holds the memory of all of them. */
export function injectedVolumes(store: StoreVolume): Volume[] {
  return [
    { name: injectedNames.volume, emptyDir: {} },
    { name: injectedNames.stagingVolume, emptyDir: {} },
    { name: injectedNames.storeVolume, ...store },
  ]
}

const none: ReadonlyMap<string, number> = new Map()

/**
 * @param needs what containers of the lineage have needed before: memory limits in bytes, by name
 * @returns for a pod that has Reprieve already, only what renews its plan
 */
export function mutate(
  pod: Pod,
  { plan, commands }: { plan: PodPlan; commands: Commands },
  config: Config,
  needs: ReadonlyMap<string, number> = none,
): Patch {
  const store = config.stores.get(plan.store.name)
  if (looksInjected(pod)) {
    const operations = renewalOperations(pod, { plan, commands })
    return { operations, text: JSON.stringify(operations), warnings: [] }
  }
  if (store === undefined) return { operations: [], text: '[]', warnings: [] }
  const spec = pod.spec
  const guarded = spec.containers.filter(({ name }) => plan.containers.some((one) => one.name === name))
  const injected = injectedContainers(plan, config, {
    qos: qosClassOf(pod),
    capabilities: grantedCapabilities(guarded),
    requests: requestsForScaling(pod),
  })
  // A claim or a file server is no local volume.
  const local = [
    injectedNames.volume,
    injectedNames.stagingVolume,
    ...('hostPath' in store ? [injectedNames.storeVolume] : []),
  ]
  const evictable = safeToEvictValue(pod, local)
  const operations: Operation[] = [
    ...addMember(pod.metadata.annotations, '/metadata/annotations', safeToEvictAnnotation, evictable),
    ...addMember(pod.metadata.labels, '/metadata/labels', injectedLabel, 'true'),
    { op: 'add', path: '/spec/shareProcessNamespace', value: true },
    // A pod may end at the dump's pace without its owner's own grace being any shorter for it.
    {
      op: 'add',
      path: '/spec/terminationGracePeriodSeconds',
      value:
        (spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) +
        Math.ceil(plan.checkpointBudgetMs / 1000) +
        answerSeconds,
    },
    ...append(spec.volumes, '/spec/volumes', injectedVolumes(store)),
    ...prepend(
      spec.initContainers,
      '/spec/initContainers',
      injected.map(({ container }) => container),
    ),
  ]
  const warnings: string[] = []
  const confined: string[] = []
  for (const [index, container] of spec.containers.entries()) {
    if (!guarded.includes(container)) continue
    const hook = prestopCommand(container, plan.checkpointBudgetMs)
    warnings.push(...hook.warnings)
    const command = commands.get(container.name) ?? []
    const path = `/spec/containers/${index}`
    const seccomp = seccompOperations(pod, container, path)
    if (seccomp.length > 0) confined.push(container.name)
    operations.push(
      ...protect(container, path, command, hook.command),
      ...goListenerOperations(container, path),
      ...seccomp,
    )
  }
  warnings.push(...seccompWarning(confined))
  for (const { index, limit, request } of raisesFor(pod, plan, needs)) {
    const resources = `/spec/containers/${index}/resources`
    operations.push({ op: 'replace', path: `${resources}/limits/memory`, value: limit })
    if (request !== undefined)
      operations.push({ op: 'replace', path: `${resources}/requests/memory`, value: request })
  }
  const written = new Map(injected.map(({ container, text }) => [container, text]))
  return { operations, text: patchText(operations, written), warnings }
}

function protect(
  container: Container,
  path: string,
  command: readonly string[],
  prestop: readonly string[],
): Operation[] {
  const preStop = { exec: { command: prestop } }
  return [
    {
      // Nothing can be replaced that is not there (RFC 6902, 4.3).
      op: container.command === undefined ? 'add' : 'replace',
      path: `${path}/command`,
      value: launched(container.name, command),
    },
    ...append(container.volumeMounts, `${path}/volumeMounts`, [launcherMount]),
    ...addMember(container.lifecycle, `${path}/lifecycle`, 'preStop', preStop),
  ]
}

type Maybe<T> = T | null | undefined

/** Each `path` is a pointer (RFC 6901) that needs no more escapes. */
function append(list: Maybe<readonly unknown[]>, path: string, values: object[]): Operation[] {
  if (list === undefined || list === null) return [{ op: 'add', path, value: values }]
  return values.map((value) => ({ op: 'add', path: `${path}/-`, value }))
}

function prepend(list: Maybe<readonly unknown[]>, path: string, values: object[]): Operation[] {
  if (list === undefined || list === null) return [{ op: 'add', path, value: values }]
  return values.map((value, index) => ({ op: 'add', path: `${path}/${index}`, value }))
}

/** `add` of a member that is there replaces it (RFC 6902, 4.1). */
function addMember(parent: Maybe<object>, path: string, name: string, value: unknown): Operation[] {
  if (parent === undefined || parent === null) return [{ op: 'add', path, value: { [name]: value } }]
  return [{ op: 'add', path: `${path}/${escaped(name)}`, value }]
}

/** RFC 6901. */
function escaped(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1')
}
