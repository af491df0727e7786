/** What the agent keeps of a pod and of its node: little, since a node may have hundreds of pods. Pure. Instants are texts or dates. */
import { parsePodPlan, planVariable } from '../src/pod-plan.ts'
import { parseQuantityBytes } from '../src/quantity.ts'
import { isRecord } from '../src/shape.ts'

export type Toleration = {
  key: string
  operator: string
  value: string
  effect: string
  seconds: number | undefined
}

export type Condition = {
  type: string
  status: string
  reason: string
  message: string
  /** Of the pod's spec, when the condition was set. */
  generation: number | undefined
}

export type ContainerView = {
  name: string
  limitBytes: number | undefined
  requestBytes: number | undefined
  /** What the kubelet says is in force. */
  actualLimitBytes: number | undefined
}

/** The controller that made the pod. */
export type Owner = { apiVersion: string; kind: string; name: string; uid: string }

export type PodView = {
  uid: string
  namespace: string
  name: string
  owner: Owner | undefined
  generation: number | undefined
  deletedAtMs: number | undefined
  graceMs: number
  hasEnded: boolean
  tolerations: Toleration[]
  conditions: Condition[]
  containers: ContainerView[]
  /** How far each protected container may grow, as its sidecar's plan says; undefined for a pod without a sidecar. */
  mayGrowTo: ReadonlyMap<string, number | undefined> | undefined
}

export type Taint = { key: string; value: string; effect: string; addedAtMs: number | undefined }

export type NodeView = { name: string; isCordoned: boolean; taints: Taint[]; conditions: Condition[] }

const sidecarName = 'reprieve-sidecar'
const defaultGraceSeconds = 30

export function readPod(object: unknown): PodView | undefined {
  const [metadata, spec, status] = ['metadata', 'spec', 'status'].map((name) => part(object, name))
  const [uid, name, namespace] = [metadata?.uid, metadata?.name, metadata?.namespace]
  if (typeof uid !== 'string' || typeof name !== 'string' || typeof namespace !== 'string') return undefined
  const actual = new Map(parts(status?.containerStatuses).map((one) => [one.name, one]))
  return {
    uid,
    name,
    namespace,
    owner: readOwner(metadata),
    generation: numberOf(metadata?.generation),
    deletedAtMs: instantOf(metadata?.deletionTimestamp),
    graceMs: (numberOf(spec?.terminationGracePeriodSeconds) ?? defaultGraceSeconds) * 1_000,
    hasEnded: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    tolerations: parts(spec?.tolerations).map(readToleration),
    conditions: parts(status?.conditions).map((one) =>
      readCondition(one, numberOf(status?.observedGeneration)),
    ),
    containers: parts(spec?.containers).map((one) => ({
      name: textOf(one.name),
      limitBytes: memoryOf(one, 'limits'),
      requestBytes: memoryOf(one, 'requests'),
      actualLimitBytes: memoryOf(actual.get(one.name), 'limits'),
    })),
    mayGrowTo: readPlan(spec),
  }
}

export function readNode(object: unknown): NodeView | undefined {
  const [metadata, spec, status] = ['metadata', 'spec', 'status'].map((name) => part(object, name))
  if (typeof metadata?.name !== 'string') return undefined
  return {
    name: metadata.name,
    isCordoned: spec?.unschedulable === true,
    taints: parts(spec?.taints).map(({ key, value, effect, timeAdded }) => {
      return {
        key: textOf(key),
        value: textOf(value),
        effect: textOf(effect),
        addedAtMs: instantOf(timeAdded),
      }
    }),
    conditions: parts(status?.conditions).map((one) => readCondition(one, undefined)),
  }
}

function readOwner(metadata: Fields | undefined): Owner | undefined {
  const owner = parts(metadata?.ownerReferences).find(({ controller }) => controller === true)
  if (owner === undefined) return undefined
  const { apiVersion, kind, name, uid } = owner
  return { apiVersion: textOf(apiVersion), kind: textOf(kind), name: textOf(name), uid: textOf(uid) }
}

/** Environment variables of a pod cannot be changed, and the guard of the webhook judges the plan. */
function readPlan(spec: Fields | undefined): PodView['mayGrowTo'] {
  const sidecar = parts(spec?.initContainers).find(({ name }) => name === sidecarName)
  if (sidecar === undefined) return undefined
  const json = parts(sidecar.env).find(({ name }) => name === planVariable)?.value
  try {
    const { containers } = parsePodPlan(textOf(json))
    return new Map(containers.map(({ name, memory }) => [name, memory.maxBytes]))
  } catch {
    // Of another version: it is told all the same, and nothing of it grows.
    return new Map()
  }
}

function readToleration({ key, operator, value, effect, tolerationSeconds }: Fields): Toleration {
  const seconds = numberOf(tolerationSeconds)
  return { key: textOf(key), operator: textOf(operator) || 'Equal', value: textOf(value), effect: textOf(effect), seconds } // prettier-ignore
}

function readCondition(one: Fields, podGeneration: number | undefined): Condition {
  const { type, status, reason, message, observedGeneration } = one
  const generation = numberOf(observedGeneration) ?? podGeneration
  return { type: textOf(type), status: textOf(status), reason: textOf(reason), message: textOf(message), generation } // prettier-ignore
}

function memoryOf(container: unknown, which: 'limits' | 'requests'): number | undefined {
  const memory = part(part(container, 'resources'), which)?.memory
  return memory === undefined ? undefined : parseQuantityBytes(String(memory))
}

type Fields = Record<string, unknown>

function part(value: unknown, name: string): Fields | undefined {
  const found = isRecord(value) ? value[name] : undefined
  return isRecord(found) ? found : undefined
}

function parts(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function instantOf(value: unknown): number | undefined {
  const ms =
    value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
