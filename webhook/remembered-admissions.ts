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
import { isSameJson, type Masked } from './same-json.ts'
import { isRecord } from './shape.ts'

export type Admit = (request: AdmissionRequest, optedInBy: OptedInBy, config: Config) => Admission

/** Templates whose pods come at the same time. */
const mostRemembered = 200
/** Of the text of all that is remembered. A pod of a mebibyte is rare. */
const mostChars = 4 * 1024 * 1024

/** The volume of the token that the admission plugin ServiceAccount adds, with characters of its own for each pod. */
const tokenVolume = /^kube-api-access-[a-z0-9]+$/

/** Of the labels and names of a pod that is remembered; 200 templates are known at a time. */
const mostTemplateChars = 16_384

type Remembered = { template: string; pod: Masked; chars: number; admission: Admission }

/** `admit` with a memory, for one configuration: the answer is the same whether it is remembered or not. */
export function rememberAdmissions(): Admit {
  const seen = new BoundedCache<true>(mostRemembered, () => 0)
  /** The one that was used last comes first. */
  let remembered: Remembered[] = []
  let decidedBy: Config | undefined
  return (request, optedInBy, config) => {
    const template = templateOf(request, optedInBy)
    if (template === undefined) return admit(request, optedInBy, config)
    if (config !== decidedBy) remembered = []
    decidedBy = config
    const pod = masked(request.object)
    const known = remembered.find((one) => one.template === template && isSame(one.pod, pod))
    if (known !== undefined) {
      if (known !== remembered[0]) remembered = [known, ...remembered.filter((one) => one !== known)]
      return { ...known.admission, response: { ...known.admission.response, uid: request.uid } }
    }
    const admission = admit(request, optedInBy, config)
    // Most templates have one pod at a time, and to keep its answer would cost more than it saves.
    if (seen.get(template) === undefined) seen.set(template, true, Infinity)
    else remembered = bounded({ template, pod, chars: charsOf(pod.value), admission }, remembered)
    return admission
  }
}

/** All of a request that `admit` reads beside the pod, and what tells most templates apart; undefined for a request that is not remembered. */
function templateOf(request: AdmissionRequest, optedInBy: OptedInBy): string | undefined {
  const { object, operation, kind, resource, subResource, namespace } = request
  const metadata = at(object, 'metadata')
  // Of a pod that looks injected, its plan is compared with its name.
  if (!isRecord(metadata) || at(metadata, 'labels', injectedLabel) !== undefined) return undefined
  const { name, generateName, labels } = metadata
  const isMadeUp = hasMadeUpName(metadata.ownerReferences) && typeof name === 'string'
  const named = { isMadeUp, generateName, labels, ...(isMadeUp ? {} : { name }) }
  try {
    const template = JSON.stringify([optedInBy, operation, kind, resource, subResource, namespace, named])
    // Labels are validated only after this webhook.
    return template.length > mostTemplateChars ? undefined : template
  } catch {
    // Nested more deeply than a text of it can be made.
    return undefined
  }
}

/** The pod without what is made up for each. */
function masked(object: unknown): Masked {
  const { metadata, ...pod } = object as { metadata: Record<string, unknown> }
  // The name is in the template where it counts. The rest says who has written which field, and in which second.
  const { name: _, managedFields: __, ...known } = metadata
  return { value: { ...pod, metadata: known }, nameless: new Set(tokenMounts(object)) }
}

function isSame(one: Masked, other: Masked): boolean {
  try {
    return isSameJson(one, other)
  } catch {
    return false
  }
}

/** Infinity for what is nested more deeply than a text of it can be made. */
function charsOf(value: unknown): number {
  try {
    return JSON.stringify(value).length
  } catch {
    return Infinity
  }
}

function bounded(added: Remembered, before: readonly Remembered[]): Remembered[] {
  let chars = 0
  return [added, ...before]
    .slice(0, mostRemembered)
    .filter((one) => one.chars <= mostChars && (chars += one.chars) <= mostChars)
}

/** The volume of the token, and what mounts it. */
function tokenMounts(object: unknown): unknown[] {
  const [volume, ...others] = listAt(at(object, 'spec', 'volumes')).filter((one) => {
    const name = at(one, 'name')
    return typeof name === 'string' && tokenVolume.test(name)
  })
  // Two of them are told apart by their names.
  if (!isRecord(volume) || others.length > 0) return []
  const mounts = ['initContainers', 'containers']
    .flatMap((list) => listAt(at(object, 'spec', list)))
    .flatMap((one) => listAt(at(one, 'volumeMounts')).concat(listAt(at(one, 'volumeDevices'))))
  return [volume, ...mounts.filter((mount) => isRecord(mount) && mount.name === volume.name)]
}
