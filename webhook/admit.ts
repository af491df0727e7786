/** From an admission request to its answer: decide, mutate, say. Pure. */
import type { Config } from '../src/config.ts'
import { decide, type Decision, type OptedInBy } from './decide.ts'
import { mutate } from './mutate.ts'
import { isPod } from './pod.ts'
import { allow, type AdmissionRequest, type AdmissionResponse } from './review.ts'

export type Admission = { response: AdmissionResponse; decision: Decision }

export function admit(request: AdmissionRequest, optedInBy: OptedInBy, config: Config): Admission {
  const skip = (reason: 'not-a-pod-creation' | 'review-unreadable', warnings: string[]): Admission => ({
    response: allow(request.uid, warnings),
    decision: { outcome: 'skip', reasons: [reason], warnings },
  })
  if (!isPodCreation(request)) return skip('not-a-pod-creation', [])
  const pod = request.object
  if (!isPod(pod))
    return skip('review-unreadable', ['this pod is not protected: its form is not known to this version'])

  const namespace = request.namespace || pod.metadata.namespace || ''
  const decision = decide(pod, namespace, optedInBy, config)
  switch (decision.outcome) {
    case 'skip':
      return { response: allow(request.uid, decision.warnings), decision }
    case 'refuse':
      return { response: refusal(request.uid, decision.problems), decision }
    case 'inject': {
      const { operations, warnings } = mutate(pod, decision.plan, config)
      return { response: patched(request.uid, [...decision.warnings, ...warnings], operations), decision }
    }
  }
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

function patched(uid: string, warnings: string[], operations: object[]): AdmissionResponse {
  const response = allow(uid, warnings)
  if (operations.length === 0) return response
  return {
    ...response,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
  }
}

function refusal(uid: string, problems: string[]): AdmissionResponse {
  const list = problems.map((problem, index) => `(${index + 1}) ${problem}`).join('; ')
  const message = `this pod asks for checkpoints by reprieve.dev/checkpoint and cannot be protected: ${list}`
  return { uid, allowed: false, status: { code: 422, reason: 'Invalid', message } }
}
