/** What of a pod is held to a Pod Security Standard: its own fields, and the containers and volumes that are not Reprieve's. Pure. */
import { at, listAt } from '../json-path.ts'

export type Held = {
  annotations: unknown
  spec: unknown
  /** Of all three lists. */
  containers: readonly unknown[]
  volumes: readonly unknown[]
}

/** One control of a standard. */
export type Control = {
  /** As the published standard calls it. */
  title: string
  problemsOf: (held: Held) => string[]
}

/** A holder of fields, in the words of a message: `the pod`, `container "main"`. */
export type Holder = { name: string; fields: unknown }

export function containerHolders({ containers }: Held): Holder[] {
  return containers.map((fields) => ({ name: `container ${quoted(at(fields, 'name'))}`, fields }))
}

/** The pod's own security context, then that of each container, as far as there is one. */
export function securityContexts(held: Held): Holder[] {
  return [{ name: 'the pod', fields: held.spec }, ...containerHolders(held)]
    .map(({ name, fields }) => ({ name, fields: at(fields, 'securityContext') }))
    .filter(({ fields }) => isGiven(fields))
}

/** Absent and null mean the same in Kubernetes' JSON. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** The only values of a flag that a standard allows are false and none: what is no flag at all is not taken for false. */
export function isOff(value: unknown): boolean {
  return !isGiven(value) || value === false
}

export function isIn(allowed: ReadonlySet<unknown>, value: unknown): boolean {
  return !isGiven(value) || allowed.has(value)
}

/** A namespace of users of its own: a root in it is nobody on the node. */
export function hasOwnUsers({ spec }: Held): boolean {
  return at(spec, 'hostUsers') === false
}

/** The API server itself refuses the Linux fields in such a pod. */
export function isForWindows({ spec }: Held): boolean {
  return at(spec, 'os', 'name') === 'windows'
}

export function listed(values: Iterable<unknown>): string {
  return [...values].map(quoted).join(', ')
}

export function quoted(value: unknown): string {
  return JSON.stringify(value) ?? 'none'
}

export function addedTo(container: unknown): unknown[] {
  return listAt(at(container, 'securityContext', 'capabilities', 'add'))
}
