/** From an admission request to its answer: decide, mutate, say. Pure. */
import type { Config } from '../src/config.ts'
import { auditOf } from './audit.ts'
import { decide, withoutCommand, type Decision, type OptedInBy } from './decide.ts'
import type { Entrypoints } from './entrypoints.ts'
import { base64Of } from './base64.ts'
import { at, listAt } from './json-path.ts'
import { mutate } from './mutate.ts'
import { isPod, type Container, type Pod } from './pod.ts'
import { allow, deny, type AdmissionRequest, type AdmissionResponse } from './review.ts'

export type ImagesToLookUp = { pod: Pod; namespace: string; containers: Container[] }

/** Facts that the webhook looked up beside the request. */
export type Findings = {
  entrypoints?: Entrypoints | undefined
  /** The recorded memory needs of the lineage's containers, by name; undefined where no part keeps records. */
  needs?: ReadonlyMap<string, number> | undefined
}

export type Admission = { response: AdmissionResponse; decision: Decision }

export function admit(
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  config: Config,
  found: Findings = {},
): Admission {
  const { response, decision } = answered(request, optedInBy, config, found)
  return { response: { ...response, auditAnnotations: auditOf(decision) }, decision }
}

function answered(
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  config: Config,
  { entrypoints, needs }: Findings,
): Admission {
  const skip = (reason: 'not-a-pod-creation' | 'review-unreadable', warnings: string[]): Admission => ({
    response: allow(request.uid, warnings),
    decision: { outcome: 'skip', reasons: [reason], warnings },
  })
  if (!isPodCreation(request)) return skip('not-a-pod-creation', [])
  const pod = request.object
  if (!isPod(pod))
    return skip('review-unreadable', ['this pod is not protected: its form is not known to this version'])

  const decision = decide(pod, { namespace: namespaceOf(request, pod), optedInBy }, config, {
    entrypoints,
    recordsNeeds: needs !== undefined,
  })
  switch (decision.outcome) {
    case 'skip':
      return { response: allow(request.uid, decision.warnings), decision }
    case 'refuse':
      return { response: refusal(request.uid, decision.problems), decision }
    case 'inject': {
      const { text, warnings } = mutate(pod, decision, config, needs)
      return { response: patched(request.uid, [...decision.warnings, ...warnings], text), decision }
    }
  }
}

/** The containers of a request that have no command, and whose images are therefore looked up before `admit`. */
export function imagesToLookUp(
  request: AdmissionRequest,
  optedInBy: OptedInBy,
  config: Config,
): ImagesToLookUp | undefined {
  const pod = request.object
  // Most pods give every command: that is seen at once, before anything else is looked at.
  const containers = listAt(at(pod, 'spec', 'containers'))
  if (containers.every((container) => listAt(at(container, 'command')).length > 0)) return undefined
  if (!isPodCreation(request) || !isPod(pod)) return undefined
  const namespace = namespaceOf(request, pod)
  const wanted = withoutCommand(pod, { namespace, optedInBy }, config)
  return wanted.length === 0 ? undefined : { pod, namespace, containers: wanted }
}

/** A pod's own may be missing at admission. */
function namespaceOf(request: AdmissionRequest, pod: Pod): string {
  return request.namespace || pod.metadata.namespace || ''
}

/** Updates, deletions, and subresources such as `eviction`, which is "created" too, change no pod that is to be. */
function isPodCreation({ operation, kind, resource, subResource }: AdmissionRequest): boolean {
  return (
    operation === 'CREATE' &&
    kind.kind === 'Pod' &&
    !kind.group &&
    resource.resource === 'pods' &&
    !resource.group &&
    !subResource
  )
}

/** @param text of the patch; of an empty one nothing is said */
function patched(uid: string, warnings: string[], text: string): AdmissionResponse {
  const response = allow(uid, warnings)
  if (text === '[]') return response
  return { ...response, patchType: 'JSONPatch', patch: base64Of(text) }
}

function refusal(uid: string, problems: string[]): AdmissionResponse {
  const list = problems.map((problem, index) => `(${index + 1}) ${problem}`).join('; ')
  const message = `this pod asks for checkpoints by reprieve.dev/checkpoint and cannot be protected: ${list}`
  return deny(uid, { code: 422, reason: 'Invalid' }, message)
}
