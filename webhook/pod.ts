/**
 * The part of a Pod that Reprieve reads. The value stays the raw JSON: these types only describe what `isPod` has
 * looked at, so that no field that they do not know is ever lost.
 */
import type { OwnerReference } from '../src/lineage.ts'
import { isFlag, isText, isWhole, listOf, mapOf, optional, recordOf, type Check } from './shape.ts'

type Maybe<T> = T | null | undefined
type TextMap = Record<string, string>

export type VolumeMount = {
  name: string
  mountPath: string
  subPath?: Maybe<string>
  readOnly?: Maybe<boolean>
}
export type ContainerPort = { name?: Maybe<string>; containerPort: number }
export type Resources = { limits?: Maybe<Record<string, unknown>>; requests?: Maybe<Record<string, unknown>> }
export type HttpHeader = { name: string; value?: Maybe<string> }
export type LifecycleHandler = {
  exec?: Maybe<{ command?: Maybe<string[]> }>
  httpGet?: Maybe<{
    host?: Maybe<string>
    path?: Maybe<string>
    port: string | number
    scheme?: Maybe<string>
    httpHeaders?: Maybe<HttpHeader[]>
  }>
  sleep?: Maybe<{ seconds?: Maybe<number> }>
  tcpSocket?: unknown
}
export type Container = {
  name: string
  image?: Maybe<string>
  command?: Maybe<string[]>
  args?: Maybe<string[]>
  workingDir?: Maybe<string>
  tty?: Maybe<boolean>
  ports?: Maybe<ContainerPort[]>
  volumeMounts?: Maybe<VolumeMount[]>
  lifecycle?: Maybe<{ preStop?: Maybe<LifecycleHandler> }>
  resources?: Maybe<Resources>
  securityContext?: unknown
  restartPolicy?: Maybe<string>
  restartPolicyRules?: Maybe<unknown[]>
}
/** A volume's other field is its source, named by its kind. */
export type Volume = { name: string } & Record<string, unknown>

export type Pod = {
  metadata: {
    name?: Maybe<string>
    generateName?: Maybe<string>
    namespace?: Maybe<string>
    labels?: Maybe<TextMap>
    annotations?: Maybe<TextMap>
    ownerReferences?: Maybe<OwnerReference[]>
  }
  spec: {
    containers: Container[]
    initContainers?: Maybe<Container[]>
    volumes?: Maybe<Volume[]>
    imagePullSecrets?: Maybe<{ name?: Maybe<string> }[]>
    nodeName?: Maybe<string>
    nodeSelector?: Maybe<TextMap>
    runtimeClassName?: Maybe<string>
    /** From the runtime class. */
    overhead?: unknown
    affinity?: unknown
    os?: Maybe<{ name: string }>
    hostNetwork?: Maybe<boolean>
    hostPID?: Maybe<boolean>
    hostIPC?: Maybe<boolean>
    hostUsers?: Maybe<boolean>
    shareProcessNamespace?: Maybe<boolean>
    restartPolicy?: Maybe<string>
    terminationGracePeriodSeconds?: Maybe<number>
    securityContext?: unknown
    resources?: unknown
  }
}

const isTextMap = optional(mapOf(isText))
const isFlagMaybe = optional(isFlag)
const isTextMaybe = optional(isText)
const isTexts = optional(listOf(isText))

/** A server sends a text. YAML that no server has defaulted yet may have a number. */
const isQuantities = optional(mapOf(optional((value) => isText(value) || typeof value === 'number')))

const isHandler: Check = recordOf({
  exec: optional(recordOf({ command: isTexts })),
  httpGet: optional(
    recordOf({
      host: isTextMaybe,
      path: isTextMaybe,
      port: (value) => isText(value) || isWhole(value),
      scheme: isTextMaybe,
      httpHeaders: optional(listOf(recordOf({ name: isText, value: isTextMaybe }))),
    }),
  ),
  sleep: optional(recordOf({ seconds: optional(isWhole) })),
})

const isContainer: Check = recordOf({
  name: isText,
  image: isTextMaybe,
  command: isTexts,
  args: isTexts,
  workingDir: isTextMaybe,
  tty: isFlagMaybe,
  ports: optional(listOf(recordOf({ name: isTextMaybe, containerPort: isWhole }))),
  volumeMounts: optional(
    listOf(recordOf({ name: isText, mountPath: isText, subPath: isTextMaybe, readOnly: isFlagMaybe })),
  ),
  lifecycle: optional(recordOf({ preStop: optional(isHandler) })),
  restartPolicy: isTextMaybe,
  restartPolicyRules: optional(listOf(() => true)),
  resources: optional(recordOf({ limits: isQuantities, requests: isQuantities })),
})

const checkPod: Check = recordOf({
  metadata: recordOf({
    name: isTextMaybe,
    generateName: isTextMaybe,
    namespace: isTextMaybe,
    labels: isTextMap,
    annotations: isTextMap,
    ownerReferences: optional(
      listOf(
        recordOf({
          apiVersion: isText,
          kind: isText,
          name: isText,
          uid: isTextMaybe,
          controller: isFlagMaybe,
        }),
      ),
    ),
  }),
  spec: recordOf({
    containers: (value) => listOf(isContainer)(value) && (value as unknown[]).length > 0,
    initContainers: optional(listOf(isContainer)),
    volumes: optional(listOf(recordOf({ name: isText }))),
    imagePullSecrets: optional(listOf(recordOf({ name: isTextMaybe }))),
    nodeName: isTextMaybe,
    nodeSelector: isTextMap,
    runtimeClassName: isTextMaybe,
    os: optional(recordOf({ name: isText })),
    hostNetwork: isFlagMaybe,
    hostPID: isFlagMaybe,
    hostIPC: isFlagMaybe,
    hostUsers: isFlagMaybe,
    shareProcessNamespace: isFlagMaybe,
    restartPolicy: isTextMaybe,
    terminationGracePeriodSeconds: optional(isWhole),
  }),
})

export function isPod(value: unknown): value is Pod {
  return checkPod(value)
}
