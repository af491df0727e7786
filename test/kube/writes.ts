/** What becomes of an object by a write, by the rules of the API server: nothing is stored here. */
import type { Kind, KubeObject, Meta } from './objects.ts'
import { newEventProblem, seriesProblem } from './events.ts'
import { resizePod } from './resize.ts'

export type Write = {
  method: string
  kind: Kind
  namespace: string | undefined
  subresource: string | undefined
  contentType: string | undefined
  body: unknown
}
export type Proposed = { object: KubeObject; isSame?: boolean } | { status: number; problem: string }

const mergePatch = 'application/strategic-merge-patch+json'
type Condition = { type: string; [field: string]: unknown }
type Patch = { metadata?: Partial<Meta>; status?: { conditions?: Condition[] }; series?: unknown }

/** @param before the object that is written; undefined for a new one */
export function propose(
  { method, kind, namespace, subresource, contentType, body }: Write,
  before?: KubeObject,
): Proposed {
  if (method === 'POST' && kind === 'events' && before === undefined)
    return newEvent(body as KubeObject, namespace)
  if (method !== 'PATCH' || before === undefined) return { status: 405, problem: 'the method is not allowed' }
  if (contentType !== mergePatch)
    return { status: 415, problem: `the body of the request was in an unknown format: ${contentType}` }
  if (kind === 'pods' && subresource === 'resize') {
    const resized = resizePod(before, body)
    return 'problem' in resized ? resized : { object: resized.pod, isSame: resized.isSame }
  }
  const { metadata = {}, ...patch } = body as Patch
  if (metadata.uid !== undefined && metadata.uid !== before.metadata.uid)
    return { status: 409, problem: `the UID in the precondition (${metadata.uid}) does not match` }
  if (kind === 'pods' && subresource === 'status') return { object: withConditions(before, patch.status) }
  if (kind === 'events' && subresource === undefined) {
    const problem = seriesProblem(patch)
    return problem === undefined ? { object: { ...before, series: patch.series } } : { status: 422, problem }
  }
  return { status: 405, problem: 'the method is not allowed' }
}

function newEvent(event: KubeObject, namespace: string | undefined): Proposed {
  const problem = newEventProblem(event, namespace)
  if (problem !== undefined) return { status: 422, problem }
  const made = { uid: crypto.randomUUID(), creationTimestamp: new Date().toISOString() }
  return {
    object: {
      ...event,
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { ...event.metadata, ...made },
    },
  }
}

/** Conditions are merged by their type. */
function withConditions(pod: KubeObject, { conditions = [] }: NonNullable<Patch['status']> = {}): KubeObject {
  const status = pod.status as { conditions?: Condition[] }
  const types = new Set(conditions.map(({ type }) => type))
  const kept = (status.conditions ?? []).filter(({ type }) => !types.has(type))
  return { ...pod, status: { ...status, conditions: [...kept, ...conditions] } }
}
