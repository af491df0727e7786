/** The parts of a Pod manifest (core/v1) that the harness acts on. What it does not know it refuses (`refuse.ts`). */
export type KeyToPath = { key: string; path: string; mode?: number }
export type DownwardItem = {
  path: string
  fieldRef?: { fieldPath: string }
  resourceFieldRef?: ResourceField
  mode?: number
}
export type ResourceField = { containerName?: string; resource: string; divisor?: string }

export type ProjectedSource = {
  configMap?: { name: string; items?: KeyToPath[]; optional?: boolean }
  secret?: { name: string; items?: KeyToPath[]; optional?: boolean }
  downwardAPI?: { items?: DownwardItem[] }
  serviceAccountToken?: { path: string; audience?: string; expirationSeconds?: number }
}

export type Volume = {
  name: string
  emptyDir?: { medium?: string; sizeLimit?: string }
  hostPath?: { path: string; type?: string }
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean }
  configMap?: { name: string; items?: KeyToPath[]; optional?: boolean; defaultMode?: number }
  secret?: { secretName: string; items?: KeyToPath[]; optional?: boolean; defaultMode?: number }
  downwardAPI?: { items?: DownwardItem[]; defaultMode?: number }
  projected?: { sources: ProjectedSource[]; defaultMode?: number }
}

export type VolumeMount = {
  name: string
  mountPath: string
  readOnly?: boolean
  subPath?: string
  subPathExpr?: string
  mountPropagation?: string
}

export type EnvVar = {
  name: string
  value?: string
  valueFrom?: {
    fieldRef?: { fieldPath: string }
    resourceFieldRef?: ResourceField
    configMapKeyRef?: { name: string; key: string; optional?: boolean }
    secretKeyRef?: { name: string; key: string; optional?: boolean }
  }
}

export type HttpGet = {
  path?: string
  port: number | string
  host?: string
  scheme?: string
  httpHeaders?: { name: string; value: string }[]
}

export type Handler = {
  exec?: { command: string[] }
  httpGet?: HttpGet
  sleep?: { seconds: number }
  tcpSocket?: { port: number | string; host?: string }
}

export type Probe = Handler & {
  initialDelaySeconds?: number
  periodSeconds?: number
  timeoutSeconds?: number
  successThreshold?: number
  failureThreshold?: number
  terminationGracePeriodSeconds?: number
}

export type SeccompProfile = { type: string; localhostProfile?: string }

export type SecurityContext = {
  runAsUser?: number
  runAsGroup?: number
  runAsNonRoot?: boolean
  readOnlyRootFilesystem?: boolean
  allowPrivilegeEscalation?: boolean
  privileged?: boolean
  capabilities?: { add?: string[]; drop?: string[] }
  seccompProfile?: SeccompProfile
}

export type ContainerSpec = {
  name: string
  image: string
  command?: string[]
  args?: string[]
  workingDir?: string
  env?: EnvVar[]
  ports?: { name?: string; containerPort: number; protocol?: string }[]
  volumeMounts?: VolumeMount[]
  resources?: { limits?: Record<string, string | number>; requests?: Record<string, string | number> }
  securityContext?: SecurityContext
  lifecycle?: { postStart?: Handler; preStop?: Handler }
  startupProbe?: Probe
  livenessProbe?: Probe
  readinessProbe?: Probe
  restartPolicy?: string
  terminationMessagePath?: string
}

export type PodSpec = {
  containers: ContainerSpec[]
  initContainers?: ContainerSpec[]
  volumes?: Volume[]
  restartPolicy?: string
  terminationGracePeriodSeconds?: number
  shareProcessNamespace?: boolean
  hostname?: string
  subdomain?: string
  serviceAccountName?: string
  nodeName?: string
  securityContext?: {
    runAsUser?: number
    runAsGroup?: number
    runAsNonRoot?: boolean
    fsGroup?: number
    supplementalGroups?: number[]
    seccompProfile?: SeccompProfile
    sysctls?: { name: string; value: string }[]
  }
}

export type PodManifest = {
  apiVersion?: string
  kind?: string
  metadata: {
    name?: string
    generateName?: string
    namespace?: string
    uid?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  spec: PodSpec
}

/** What the API server and the scheduler would have filled in before a kubelet sees the pod. */
export type PodIdentity = {
  name: string
  namespace: string
  uid: string
  nodeName: string
  hostname: string
  podIp: string
  hostIp: string
  labels: Record<string, string>
  annotations: Record<string, string>
  serviceAccountName: string
}
