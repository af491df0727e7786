/**
 * The patch that carries out a decision: explicit RFC 6902 operations, never a difference of two pods, since a
 * difference of lists rewrites what it only meant to prepend. Pure.
 */
import { injectedLabel } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import type { PodPlan } from '../src/pod-plan.ts'
import { volumePaths, volumeRoot } from '../src/volume.ts'
import type { Commands } from './entrypoints.ts'
import { injectedNames } from './image-paths.ts'
import { looksInjected } from './injected.ts'
import { restoreContainer, sidecarContainer, textOf } from './injected-containers.ts'
import { raisesFor } from './more-memory.ts'
import type { Container, Pod } from './pod.ts'
import { prestopCommand } from './prestop-hook.ts'
import { qosClassOf } from './quality-of-service.ts'

/** How much later than its budget a checkpoint that hangs is given up (`answerGraceMs` of sidecar/asked-checkpoints.ts). */
const answerSeconds = 5

export type Operation = { op: 'add' | 'replace'; path: string; value: unknown }

export type Patch = { operations: Operation[]; warnings: string[] }

/** Kubernetes' own, for a pod that says nothing. */
const defaultGraceSeconds = 30

const none: ReadonlyMap<string, number> = new Map()

/**
 * @param needs what containers of the lineage have needed before: memory limits in bytes, by name
 * @returns no operations for a pod that has Reprieve already
 */
export function mutate(
  pod: Pod,
  plan: PodPlan,
  commands: Commands,
  config: Config,
  needs: ReadonlyMap<string, number> = none,
): Patch {
  const store = config.stores.get(plan.store.name)
  if (looksInjected(pod) || store === undefined) return { operations: [], warnings: [] }
  const qos = qosClassOf(pod)
  const planText = textOf(plan)
  const spec = pod.spec
  const operations: Operation[] = [
    ...addMember(pod.metadata.labels, ['metadata', 'labels'], injectedLabel, 'true'),
    { op: 'add', path: pointer('spec', 'shareProcessNamespace'), value: true },
    // A pod may end at the dump's pace without its owner's own grace being any shorter for it.
    {
      op: 'add',
      path: pointer('spec', 'terminationGracePeriodSeconds'),
      value:
        (spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) +
        Math.ceil(plan.checkpointBudgetMs / 1000) +
        answerSeconds,
    },
    ...append(
      spec.volumes,
      ['spec', 'volumes'],
      [
        { name: injectedNames.volume, emptyDir: {} },
        { name: injectedNames.storeVolume, ...store },
      ],
    ),
    ...prepend(
      spec.initContainers,
      ['spec', 'initContainers'],
      [restoreContainer(planText, config, qos), sidecarContainer(planText, config, qos)],
    ),
  ]
  const warnings: string[] = []
  for (const [index, container] of spec.containers.entries()) {
    if (!plan.containers.some(({ name }) => name === container.name)) continue
    const hook = prestopCommand(container, plan.checkpointBudgetMs)
    warnings.push(...hook.warnings)
    const command = commands.get(container.name) ?? []
    operations.push(...protect(container, ['spec', 'containers', String(index)], command, hook.command))
  }
  for (const { index, limit, request } of raisesFor(pod, plan, needs)) {
    const resources = ['spec', 'containers', String(index), 'resources']
    operations.push({ op: 'replace', path: pointer(...resources, 'limits', 'memory'), value: limit })
    if (request !== undefined)
      operations.push({ op: 'replace', path: pointer(...resources, 'requests', 'memory'), value: request })
  }
  return { operations, warnings }
}

function protect(
  container: Container,
  path: string[],
  command: readonly string[],
  prestop: readonly string[],
): Operation[] {
  const preStop = { exec: { command: prestop } }
  return [
    {
      // Nothing can be replaced that is not there (RFC 6902, 4.3).
      op: container.command === undefined ? 'add' : 'replace',
      path: pointer(...path, 'command'),
      value: [volumePaths.launcher, 'run', `--container=${container.name}`, '--', ...command],
    },
    ...append(
      container.volumeMounts,
      [...path, 'volumeMounts'],
      [{ name: injectedNames.volume, mountPath: volumeRoot, readOnly: true }],
    ),
    ...addMember(container.lifecycle, [...path, 'lifecycle'], 'preStop', preStop),
  ]
}

type Maybe<T> = T | null | undefined

function append(list: Maybe<readonly unknown[]>, path: string[], values: object[]): Operation[] {
  if (list === undefined || list === null) return [{ op: 'add', path: pointer(...path), value: values }]
  return values.map((value) => ({ op: 'add', path: pointer(...path, '-'), value }))
}

function prepend(list: Maybe<readonly unknown[]>, path: string[], values: object[]): Operation[] {
  if (list === undefined || list === null) return [{ op: 'add', path: pointer(...path), value: values }]
  return values.map((value, index) => ({ op: 'add', path: pointer(...path, String(index)), value }))
}

/** `add` of a member that is there replaces it (RFC 6902, 4.1). */
function addMember(parent: Maybe<object>, path: string[], name: string, value: unknown): Operation[] {
  if (parent === undefined || parent === null)
    return [{ op: 'add', path: pointer(...path), value: { [name]: value } }]
  return [{ op: 'add', path: pointer(...path, name), value }]
}

/** RFC 6901. */
function pointer(...tokens: string[]): string {
  let path = ''
  for (const token of tokens) path += `/${needsEscape.test(token) ? escaped(token) : token}`
  return path
}

const needsEscape = /[~/]/

function escaped(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1')
}
