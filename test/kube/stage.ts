/** Pods and a node as an API server has them, and an agent's way to it. */
import { KubeConfig } from '@kubernetes/client-node'
import { connectKube, type Kube } from '../../agent/kube.ts'
import type { KubeObject } from './objects.ts'
import type { KubeServer } from './server.ts'

export const nodeName = 'node-1'

export function kubeConfigTo(server: KubeServer, token = 'token'): KubeConfig {
  const config = new KubeConfig()
  config.loadFromClusterAndUser(
    { name: 'tests', server: server.url, skipTLSVerify: true },
    { name: 'agent', token },
  )
  return config
}

export function kubeTo(server: KubeServer): Kube {
  return connectKube(kubeConfigTo(server))
}

type PodOptions = {
  uid: string
  name?: string
  node?: string
  plan?: object
  spec?: Record<string, unknown>
  metadata?: Record<string, unknown>
  status?: Record<string, unknown>
  memory?: { limit?: string; request?: string }
}

/** A protected pod with a container `app`. */
export function podObject(options: PodOptions): KubeObject {
  const { uid, name = `pod-${uid.slice(0, 4)}`, node = nodeName, plan, memory = { limit: '1Gi' } } = options
  const { limit, request = limit } = memory
  const env = plan === undefined ? [] : [{ name: 'REPRIEVE_PLAN', value: JSON.stringify(plan) }]
  const resources = limit === undefined ? {} : { limits: { memory: limit }, requests: { memory: request } }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'ns', uid, generation: 1, creationTimestamp: '2026-01-02T03:04:05Z', resourceVersion: '', ...options.metadata }, // prettier-ignore
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 30,
      initContainers: [{ name: 'reprieve-sidecar', image: 'reprieve', restartPolicy: 'Always', env }],
      containers: [{ name: 'app', image: 'app', resources }],
      ...options.spec,
    },
    status: { phase: 'Running', ...options.status },
  }
}

export function nodeObject(spec: Record<string, unknown> = {}, conditions: object[] = []): KubeObject {
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'KubeletReady',
    message: 'kubelet is posting ready status',
  }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      uid: 'node-uid',
      creationTimestamp: '2026-01-02T03:04:05Z',
      resourceVersion: '',
    },
    spec,
    status: { conditions: [ready, ...conditions] },
  }
}

type Resources = { limits: { memory: string }; requests: { memory: string } }

/** Of the first container of a pod, as the API server has them. */
export function resourcesOf(server: KubeServer, namespace: string, name: string): Resources {
  const pod = server.objects.get('pods', namespace, name)
  if (pod === undefined) throw new Error(`there is no pod ${name}`)
  return (pod.spec as { containers: [{ resources: Resources }] }).containers[0].resources
}
