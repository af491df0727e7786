/** The answer of the webhook to a pod of the table, in the form that the table records. */
import { admit, imagesToLookUp, type Admission } from '../../webhook/admit.ts'
import type { Decision } from '../../webhook/decide.ts'
import type { Operation } from '../../webhook/patch-text.ts'
import type { Pod } from '../../webhook/pod.ts'
import { isRecord } from '../../webhook/shape.ts'
import { applied } from './patched-pod.ts'
import type { Case } from './pod-table.ts'

export type Asked = Case & Admission

export function ask(one: Case): Asked {
  return { ...one, ...admit(one.request, one.entry, one.config, one.found) }
}

/** An injection as its difference from the base pod's, and each of its containers from that of the base pod. */
export function shortAnswer(one: Asked, base: Asked): unknown {
  const answer = answerOf(one)
  if (one === base || answer.outcome !== 'inject') return answer
  const whole = answerOf(base)
  const names = Object.keys(answer.containers ?? {})
  const containers = Object.fromEntries(names.map((name) => [name, whole.containers?.main]))
  const changes = difference({ ...whole, containers }, answer)
  return { outcome: 'inject', ...(changes as object | undefined) }
}

/** The change that makes `value` of `base` (RFC 7396), or undefined for none. */
function difference(base: unknown, value: unknown): unknown {
  if (JSON.stringify(base) === JSON.stringify(value)) return undefined
  if (!isRecord(base) || !isRecord(value)) return value
  const names = new Set([...Object.keys(base), ...Object.keys(value)])
  const changes = [...names].flatMap((name) => {
    const change = Object.hasOwn(value, name) ? difference(base[name], value[name]) : null
    return change === undefined ? [] : [[name, change] as const]
  })
  return changes.length === 0 ? undefined : Object.fromEntries(changes)
}

type Answer = { outcome: Decision['outcome']; containers?: Record<string, object> } & Record<string, unknown>

/** The parts of an answer, without those that say the same again: pods.test.ts compares these. */
function answerOf({ request, entry, config, response, decision }: Asked): Answer {
  const looked = imagesToLookUp(request, entry, config)?.containers.map(({ name }) => name)
  const told = {
    outcome: decision.outcome,
    ...(looked && { looksUp: looked }),
    ...(response.warnings && { warnings: response.warnings }),
  }
  if (decision.outcome === 'refuse')
    return { ...told, reasons: decision.reasons, problems: decision.problems }
  if (decision.outcome === 'skip') return { ...told, reasons: decision.reasons }
  const pod = request.object as Pod
  let others = operationsOf(response)
  const injected = injectedIn(applied(pod, others)).map(({ name, env, ...container }) => {
    const sources = env.map((one) => [one.name, one.valueFrom?.fieldRef.fieldPath ?? ''])
    return [name, { ...container, env: Object.fromEntries(sources) as object }]
  })
  const { containers, ...plan } = decision.plan
  const planned = containers.map(({ name, fingerprint, earlierFingerprint, ...container }) => {
    const path = `/spec/containers/${pod.spec.containers.findIndex((one) => one.name === name)}/`
    const patch = patchOf(
      others.filter((one) => one.path.startsWith(path)),
      path,
    )
    others = others.filter((one) => !one.path.startsWith(path))
    return [
      name,
      {
        fingerprint: fingerprint.slice(0, 12),
        earlierFingerprint: earlierFingerprint?.slice(0, 12),
        ...container,
        patch,
      },
    ]
  })
  return {
    ...told,
    plan,
    containers: Object.fromEntries(planned) as Record<string, object>,
    patch: patchOf(others, '/'),
    injected: Object.fromEntries(injected) as object,
  }
}

export function operationsOf({ patch = '' }: Admission['response']): Operation[] {
  return JSON.parse(Buffer.from(patch, 'base64').toString() || '[]') as Operation[]
}

/** The values by operation and path below `at`. Of the injected containers, only the names. */
function patchOf(operations: Operation[], at: string): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const { op, path, value } of operations) {
    const key = `${op} ${path.slice(at.length)}`
    const shown = path.startsWith('/spec/initContainers')
      ? [value].flat().map((one) => (one as Injected).name)
      : value
    patch[key] = path.endsWith('/-') ? [...((patch[key] as unknown[] | undefined) ?? []), shown] : shown
  }
  return patch
}

type Injected = {
  name: string
  env: { name: string; value?: string; valueFrom?: { fieldRef: { fieldPath: string } } }[]
}

export function injectedIn(after: Pod): Injected[] {
  return (after.spec.initContainers ?? []).slice(0, 2) as unknown as Injected[]
}
