/**
 * Remembers admissions. A controller makes many pods of one template at a time, and all of them get the same answer. Their reviews differ in the
 * uid and in two names that the API server and the controller make up, on which no decision depends (docs/decisions/0035).
 */
import type { Config } from '../src/config.ts'
import { injectedLabel } from '../src/annotations.ts'
import { hasMadeUpName } from '../src/lineage.ts'
import { admit, type Admission } from './admit.ts'
import { BoundedCache } from './bounded-cache.ts'
import type { OptedInBy } from './decide.ts'
import { at, listAt } from './json-path.ts'
import type { AdmissionRequest } from './review.ts'
import { isRecord } from './shape.ts'

export type Admit = (request: AdmissionRequest, optedInBy: OptedInBy, config: Config) => Admission

/** Templates whose pods come at the same time. An answer and its key are some 12 KB. */
const mostRemembered = 200
/** A pod of more is rare, and its text long: it is decided on each time. */
const mostVariables = 200

/** The volume of the token that the admission plugin ServiceAccount adds, with characters of its own for each pod. */
const tokenVolume = /^kube-api-access-[a-z0-9]+$/
/** No name of Kubernetes has an asterisk. */
const anyName = '*'

/** `admit` with a memory, for one configuration: the answer is the same whether it is remembered or not. */
export function rememberAdmissions(): Admit {
  let remembered = new BoundedCache<Admission | 'seen once'>(mostRemembered, () => 0)
  let decidedBy: Config | undefined
  return (request, optedInBy, config) => {
    const key = keyOf(request, optedInBy)
    if (key === undefined) return admit(request, optedInBy, config)
    if (config !== decidedBy) {
      remembered = new BoundedCache<Admission | 'seen once'>(mostRemembered, () => 0)
      decidedBy = config
    }
    const { uid } = request
    const known = remembered.get(key)
    if (typeof known === 'object') return { ...known, response: { ...known.response, uid } }
    const admission = admit(request, optedInBy, config)
    // Most templates have one pod at a time, and to keep its answer would cost more than it saves.
    remembered.set(key, known === undefined ? 'seen once' : admission, Infinity)
    return admission
  }
}

/** All of a request that `admit` reads, but for the uid and the names that are made up; undefined for one that is not remembered. */
function keyOf(request: AdmissionRequest, optedInBy: OptedInBy): string | undefined {
  const { object, operation, kind, resource, subResource, namespace } = request
  const metadata = at(object, 'metadata')
  // Of a pod that looks injected, its plan is compared with its name.
  if (!isRecord(metadata) || at(metadata, 'labels', injectedLabel) !== undefined) return undefined
  const containers = ['initContainers', 'containers'].flatMap((list) => listAt(at(object, 'spec', list)))
  if (containers.reduce<number>((sum, one) => sum + listAt(at(one, 'env')).length, 0) > mostVariables)
    return undefined
  const named = tokenMounts(object, containers)
  if (hasMadeUpName(at(metadata, 'ownerReferences')) && typeof metadata.name === 'string')
    named.push(metadata)
  const names = named.map(({ name }) => name)
  // Who has written which field, and in which second.
  const { managedFields } = metadata
  try {
    if (managedFields !== undefined) metadata.managedFields = null
    for (const one of named) one.name = anyName
    return JSON.stringify([optedInBy, operation, kind, resource, subResource, namespace, object])
  } catch {
    // Nested more deeply than a text of it can be made.
    return undefined
  } finally {
    if (managedFields !== undefined) metadata.managedFields = managedFields
    for (const [index, one] of named.entries()) one.name = names[index]
  }
}

/** The volume of the token, and what mounts it. */
function tokenMounts(object: unknown, containers: readonly unknown[]): Record<string, unknown>[] {
  const [volume, ...others] = listAt(at(object, 'spec', 'volumes')).filter((one) => {
    const name = at(one, 'name')
    return typeof name === 'string' && tokenVolume.test(name)
  })
  // Two of them are told apart by their names.
  if (!isRecord(volume) || others.length > 0) return []
  const mounts = containers
    .flatMap((one) => [...listAt(at(one, 'volumeMounts')), ...listAt(at(one, 'volumeDevices'))])
    .filter(isRecord)
  // The API server looks at names only after the webhook, and a pod that it refuses is remembered all the same.
  if ([...listAt(at(object, 'spec', 'volumes')), ...mounts].some((one) => at(one, 'name') === anyName))
    return []
  return [volume, ...mounts.filter(({ name }) => name === volume.name)]
}
