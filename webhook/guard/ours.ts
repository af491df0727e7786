/** The parts of a pod that are Reprieve's, read from JSON that is not validated yet. */
import { injectedLabel } from '../../src/annotations.ts'
import { injectedNames, reservedNamePrefix } from '../image-paths.ts'
import { at, listAt } from '../json-path.ts'

const containers: ReadonlySet<string> = new Set([
  injectedNames.restoreContainer,
  injectedNames.sidecarContainer,
])

const volumes: ReadonlySet<string> = new Set([
  injectedNames.volume,
  injectedNames.stagingVolume,
  injectedNames.storeVolume,
])

export function isReprieveContainer(name: unknown): boolean {
  return typeof name === 'string' && containers.has(name)
}

export function isReprieveVolume(name: unknown): boolean {
  return typeof name === 'string' && volumes.has(name)
}

export function isReservedName(name: unknown): boolean {
  return typeof name === 'string' && name.startsWith(reservedNamePrefix)
}

/** Of all three lists. */
export function containersIn(pod: unknown): unknown[] {
  return ['initContainers', 'containers', 'ephemeralContainers'].flatMap((list) =>
    listAt(at(pod, 'spec', list)),
  )
}

/** By name. Containers of an existing pod cannot be added, removed or renamed, so they cannot be hidden. */
export function reprieveContainersIn(pod: unknown): Map<string, unknown> {
  const found = listAt(at(pod, 'spec', 'initContainers')).filter((container) =>
    isReprieveContainer(at(container, 'name')),
  )
  return new Map(found.map((container) => [String(at(container, 'name')), container]))
}

export function injectedLabelOf(pod: unknown): unknown {
  return at(pod, 'metadata', 'labels', injectedLabel)
}
