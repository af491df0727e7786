/** The obstacles that keep a pod from being protected: all of them, not only the first. */
import { posix } from 'node:path'
import { volumeRoot } from '../src/volume.ts'
import { addedCapabilities } from './added-capabilities.ts'
import { reservedNamePrefix } from './image-paths.ts'
import { looksInjected } from './injected.ts'
import { operatingSystemsOf } from './node-labels.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'
import { skipReasons, type SkipReason } from './skip-reasons.ts'

export type Obstacle = { reason: SkipReason; text: string }

export function podObstacles(pod: Pod): Obstacle[] {
  const spec = pod.spec
  const found: Obstacle[] = []
  const add = (present: boolean, reason: SkipReason) => {
    if (present) found.push({ reason, text: skipReasons[reason].meaning })
  }
  add(spec.hostNetwork === true, 'host-network')
  add(spec.hostPID === true, 'host-pid')
  add(spec.hostIPC === true, 'host-ipc')
  add(spec.hostUsers === false, 'host-users-off')
  add(spec.shareProcessNamespace === false, 'process-sharing-refused')
  add(spec.os?.name === 'windows' || isForWindows(pod), 'windows')
  const containers = containersOf(pod)
  for (const container of containers) addTracing(container, found)
  addNameConflicts(pod, containers, found)
  return found
}

export function containerObstacles(container: Container): Obstacle[] {
  const found: Obstacle[] = []
  if (container.tty === true)
    found.push({
      reason: 'tty',
      text: `container ${container.name} has tty: true; a terminal cannot be restored`,
    })
  const asked = container.lifecycle?.preStop?.httpGet
  const isSecure = (asked?.scheme ?? '').toLowerCase() === 'https'
  if (isSecure && !isPodItself(asked?.host ?? ''))
    found.push({
      reason: 'prestop-elsewhere',
      text: `the preStop of container ${container.name} asks ${asked?.host} over HTTPS; the sidecar asks the pod only`,
    })
  const [program] = container.command ?? []
  if (program?.includes('/') && isReservedPath(program))
    found.push({
      reason: 'container-conflict',
      text: `the command of container ${container.name} is Reprieve's own: write the one that its owner wrote`,
    })
  return found
}

/** Nobody knows the address of a pod when it is created. */
function isPodItself(host: string): boolean {
  return (
    host === '' || host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
  )
}

function isForWindows(pod: Pod): boolean {
  const systems = operatingSystemsOf(pod) ?? []
  return systems.length > 0 && systems.every((name) => name === 'windows')
}

/** s6-overlay's, and what systemd and its like are called: they end at once as any other process. */
const firstPrograms = new Set(['/init', '/sbin/init', '/usr/sbin/init', '/lib/systemd/systemd', '/usr/lib/systemd/systemd', '/bin/systemd']) // prettier-ignore

/** @param commands what each protected container runs; of the others, what they say themselves is all that is known */
export function firstProcessObstacles(
  pod: Pod,
  commands: ReadonlyMap<string, readonly string[]>,
): Obstacle[] {
  return pod.spec.containers.flatMap(({ name, command }) => {
    const program = (commands.get(name) ?? command ?? [])[0]
    return program !== undefined && firstPrograms.has(program)
      ? [{ reason: 'needs-pid-1', text: `container ${name} runs ${program}, which has to be process 1: no program is where processes are shared` } satisfies Obstacle] // prettier-ignore
      : []
  })
}

/**
 * The containers share one process namespace, so a process of such a container could trace the sidecar, which is root with SYS_ADMIN (ptrace(2)).
 * Containers that are privileged, or have SYS_ADMIN themselves, gain nothing by it.
 */
function addTracing(container: Named, found: Obstacle[]): void {
  // A container with our name is reported for its name.
  const isTheirs = !container.name.startsWith(reservedNamePrefix)
  if (isTheirs && addedCapabilities(container).includes('SYS_PTRACE'))
    found.push({
      reason: 'may-trace',
      text: `container ${container.name} adds SYS_PTRACE, with which it could trace the sidecar and become root on the node`,
    })
}

function addNameConflicts(pod: Pod, containers: readonly Named[], found: Obstacle[]): void {
  for (const volume of pod.spec.volumes ?? [])
    if (volume.name.startsWith(reservedNamePrefix))
      found.push({
        reason: 'mount-conflict',
        text: `volume ${volume.name} takes a name that is reserved for Reprieve`,
      })
  if (looksInjected(pod))
    found.push({
      reason: 'container-conflict',
      text: 'the pod looks like a copy of a protected one: make it anew from what its owner wrote',
    })
  for (const container of containers) addConflicts(container, found)
}

function addConflicts(container: Named, found: Obstacle[]): void {
  const add = (reason: SkipReason, what: string) =>
    found.push({ reason, text: `container ${container.name} ${what} reserved for Reprieve` })
  if (container.name.startsWith(reservedNamePrefix)) add('container-conflict', 'takes a name that is')
  // The API server looks whether the volume is there after admission, when ours are: the store's holds every pod's memory.
  const mounts = listIn(container, 'volumeMounts')
  for (const list of [mounts, listIn(container, 'volumeDevices')])
    for (const { name } of list)
      if (typeof name === 'string' && name.startsWith(reservedNamePrefix))
        add('mount-conflict', `mounts the volume ${name}, a name that is`)
  for (const { mountPath } of mounts)
    if (typeof mountPath === 'string' && isReservedPath(mountPath))
      add('mount-conflict', `mounts ${mountPath}, which is`)
}

type Named = { name: string }

/** Of every kind. The API server refuses ephemeral ones in a new pod, but only after admission. */
function containersOf(pod: Pod): Named[] {
  const ephemeral = listIn(pod.spec, 'ephemeralContainers').filter(isNamed)
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...ephemeral]
}

function isNamed(value: Record<string, unknown>): value is Record<string, unknown> & Named {
  return typeof value.name === 'string'
}

/** A list as it came: `isPod` has not looked at all of those that are read here. */
function listIn(holder: object, field: string): Record<string, unknown>[] {
  const list: unknown = Object.hasOwn(holder, field) ? Reflect.get(holder, field) : undefined
  return Array.isArray(list) ? list.filter(isRecord) : []
}

const rootSegment = volumeRoot.slice(1)

/** The kubelet takes a relative mount path from the root, and does not mind doubled or trailing slashes. */
function isReservedPath(mountPath: string): boolean {
  // Resolving leaves segments out, and makes up none.
  if (!mountPath.includes(rootSegment)) return false
  const path = posix.resolve('/', mountPath)
  return path === volumeRoot || path.startsWith(`${volumeRoot}/`)
}
