/**
 * A protected pod that another webhook has changed since: the API server asks a second time, and a plan that no longer matches the pod is made anew
 * (reinvocationPolicy). Otherwise the pod that replaces it, which goes the same way, would find no checkpoint that fits. Pure.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy
 */
import { isDeepStrictEqual } from 'node:util'
import { readWishes } from '../src/annotations.ts'
import type { Config } from '../src/config.ts'
import { planVariable, type ContainerPlan, type PodPlan } from '../src/pod-plan.ts'
import { volumePaths } from '../src/volume.ts'
import { planOfContainer } from './container-plan.ts'
import type { Commands } from './entrypoints.ts'
import { isReservedName } from './guard/ours.ts'
import { isForeignVariable, isTokenMount } from './guard/same-container.ts'
import { injectedNames } from './image-paths.ts'
import { injectedPlan, isOurs } from './injected.ts'
import { planText } from './injected-containers.ts'
import { at, listAt } from './json-path.ts'
import type { Operation } from './patch-text.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'

export type Renewal = { plan: PodPlan; commands: Commands }

/** The plan for the pod as it is now, and what its protected containers run. Undefined where it has no plan that this version can read. */
export function renewed(pod: Pod, config: Config): Renewal | undefined {
  const plan = injectedPlan(pod)
  if (plan === undefined) return undefined
  const { wishes } = readWishes(pod.metadata.annotations ?? {})
  const commands = new Map<string, readonly string[]>()
  const containers = plan.containers.map((old) => {
    const container = pod.spec.containers.find(({ name }) => name === old.name)
    const command = container === undefined ? [] : ownCommand(container)
    if (container === undefined || command.length === 0) return old
    commands.set(old.name, command)
    const planOf = (before: Container) =>
      planOfContainer(pod, before, { command, wishes, memory: old.memory, config })
    const [likeliest, ...others] = waysBack(container, command)
    const fresh = planOf(likeliest)
    const isUnchanged = isSame(fresh, old) || others.some((before) => isSame(planOf(before), old))
    return isUnchanged ? old : { ...old, ...fresh }
  })
  return { plan: { ...plan, containers }, commands }
}

/** Puts a renewed plan into both of our containers, and the launcher before a command that has lost it. */
export function renewalOperations(pod: Pod, { plan, commands }: Renewal): Operation[] {
  const text = planText(plan)
  const ours = (pod.spec.initContainers ?? []).flatMap((container, index): Operation[] =>
    isOurs(container) ? ownOperations(pod, container, { text, path: `/spec/initContainers/${index}` }) : [],
  )
  const launchers = pod.spec.containers.flatMap((container, index): Operation[] => {
    const command = commands.get(container.name)
    if (command === undefined || isLaunched(container)) return []
    return [
      { op: 'replace', path: `/spec/containers/${index}/command`, value: launched(container.name, command) },
    ]
  })
  return [...ours, ...launchers]
}

/**
 * Takes out of a container of ours what another webhook has put into every container, as Vault's mounts its secrets into all init containers:
 * the guard would deny the pod for it.
 */
function ownOperations(
  pod: Pod,
  container: Container,
  { text, path }: { text: string; path: string },
): Operation[] {
  const given = listAt(at(container, 'env'))
  const env = given
    .filter((one) => String(at(one, 'name')).startsWith(ownVariables) || isForeignVariable(one))
    .map((one) => (at(one, 'name') === planVariable ? Object.assign({}, one, { value: text }) : one))
  const mounts = listAt(container.volumeMounts)
  const volumeMounts = mounts.filter((one) => isReservedName(at(one, 'name')) || isTokenMount(one, pod))
  const operations: Operation[] = []
  if (!isDeepStrictEqual(env, given)) operations.push({ op: 'replace', path: `${path}/env`, value: env })
  if (volumeMounts.length < mounts.length)
    operations.push({ op: 'replace', path: `${path}/volumeMounts`, value: volumeMounts })
  return operations
}

/** How the names of all of ours begin. */
const ownVariables = 'REPRIEVE_'

export function launched(container: string, command: readonly string[]): string[] {
  return [volumePaths.launcher, 'run', `--container=${container}`, '--', ...command]
}

function isLaunched({ command }: Container): boolean {
  return command?.[0] === volumePaths.launcher && command[1] === 'run'
}

/** What the launcher runs. Empty where another program runs the launcher, which stays so, and where nothing is said. */
function ownCommand(container: Container): string[] {
  const { command, args } = container
  if (isLaunched(container)) return (command ?? []).slice(4)
  return [...(command ?? []), ...(args ?? [])].includes(volumePaths.launcher) ? [] : [...(command ?? [])]
}

function isSame(one: ContainerPlan, other: ContainerPlan): boolean {
  return JSON.stringify(ofPod(one)) === JSON.stringify(ofPod(other))
}

/** The parts of a plan that follow from the container. */
function ofPod({ fingerprint, emptyDirs, external, exclude = [] }: ContainerPlan): unknown {
  return [fingerprint, emptyDirs, external, exclude]
}

/**
 * The container as it may have been before the injection, the likeliest first. The pod does not tell whether a profile or a setting of Go was the
 * owner's or is ours: one of the ways back has led to the plan that it has, unless something else has changed.
 */
function waysBack(container: Container, command: readonly string[]): [Container, ...Container[]] {
  const volumeMounts = (container.volumeMounts ?? []).filter(({ name }) => name !== injectedNames.volume)
  const { securityContext } = container
  const env: unknown = at(container, 'env')
  const bare = { ...container, command: [...command], volumeMounts }
  const [before, ...others] = withoutGoSetting(env)
  const ways = (context: unknown): [Container, ...Container[]] => [
    Object.assign({}, bare, { securityContext: context, env: before }),
    ...[...others, env].map((one) => Object.assign({}, bare, { securityContext: context, env: one })),
  ]
  return [...ways(withoutProfile(securityContext)), ...ways(securityContext)]
}

function withoutProfile(context: unknown): unknown {
  if (!isRecord(context) || at(context, 'seccompProfile', 'type') !== 'RuntimeDefault') return context
  const { seccompProfile: _, ...rest } = context
  return Object.keys(rest).length === 0 ? undefined : rest
}

const goSetting = 'multipathtcp=0'

function withoutGoSetting(env: unknown): [unknown, ...unknown[]] {
  const list = listAt(env)
  const index = list.findLastIndex((one) => at(one, 'name') === 'GODEBUG')
  const value = at(list[index], 'value')
  if (value === goSetting) {
    const rest = list.toSpliced(index, 1)
    return [rest.length === 0 ? undefined : rest, list.with(index, { name: 'GODEBUG', value: '' })]
  }
  if (typeof value !== 'string' || !value.endsWith(`,${goSetting}`)) return [env]
  return [list.with(index, { name: 'GODEBUG', value: value.slice(0, -goSetting.length - 1) })]
}
