/**
 * Pods for nodes that are no machines: those of virtual-kubelet and of Fargate. They take neither hostPath volumes nor added capabilities, so an
 * injected pod would not start there. A toleration alone is enough: the pod may be sent there. Pure.
 * https://virtual-kubelet.io/docs/usage/ https://docs.aws.amazon.com/eks/latest/userguide/fargate.html
 */
import { at, listAt } from './json-path.ts'
import { nodeSelections } from './node-labels.ts'
import type { Obstacle } from './obstacles.ts'
import type { Pod } from './pod.ts'

/** By the label of the node: its values, or any. */
const nodeLabels: readonly (readonly [key: string, value: RegExp])[] = [
  ['type', /^virtual-kubelet$/],
  ['kubernetes.azure.com/type', /^virtual-kubelet$/],
  ['eks.amazonaws.com/compute-type', /^fargate$/],
  ['liqo.io/type', /^virtual-node$/],
  ['virtual-node.interlink/type', /./],
  ['alibabacloud.com/virtual-node', /^true$/],
  ['node.kubernetes.io/instance-type', /^(?:virtual-kubelet|eklet)$/],
  ['multicluster.admiralty.io/role', /./],
]

/** By the label or annotation of the pod. */
const podLabels: readonly (readonly [key: string, value: RegExp])[] = [
  ['eks.amazonaws.com/fargate-profile', /./],
  ['alibabacloud.com/eci', /^true$/],
  ['alibabacloud.com/acs', /^true$/],
  ['virtual-kubelet.io/burst-to-cci', /^(?:enforce|force|auto|localPrefer)$/],
  ['bursting.cci.io/burst-to-cci', /^(?:enforce|force|auto|localPrefer)$/],
  ['multicluster.admiralty.io/elect', /./],
]

/** Keys of taints. */
const taints =
  /^(?:virtual-kubelet\.io\/.*|azure\.com\/aci|eks\.amazonaws\.com\/compute-type|virtual-node\.liqo\.io\/.*|virtual-node\.interlink\/.*|eks\.tke\.cloud\.tencent\.com\/eklet|alibabacloud\.com\/eci|k8s\.aliyun\.com\/vnode)$/

const nodeNames = /^(?:virtual-kubelet|virtual-node|fargate-)/

export function virtualNodeObstacles(pod: Pod): Obstacle[] {
  const sign = signOf(pod)
  if (sign === undefined) return []
  return [{ reason: 'virtual-node', text: `${sign}: a virtual node takes no pod with the sidecar` }]
}

function signOf(pod: Pod): string | undefined {
  const { labels, annotations } = pod.metadata
  for (const [key, value] of nodeLabels)
    for (const selected of nodeSelections(pod, [key]) ?? [])
      if (value.test(selected)) return `the pod selects nodes with ${key}: ${selected}`
  for (const [key, value] of podLabels)
    if ([at(labels, key), at(annotations, key)].some((one) => typeof one === 'string' && value.test(one)))
      return `the pod has ${key}`
  for (const toleration of listAt(at(pod.spec, 'tolerations'))) {
    const key = at(toleration, 'key')
    if (typeof key === 'string' && taints.test(key)) return `the pod tolerates ${key}`
  }
  if (at(pod.spec, 'schedulerName') === 'fargate-scheduler') return 'schedulerName is fargate-scheduler'
  return nodeNames.test(pod.spec.nodeName ?? '') ? `nodeName is ${pod.spec.nodeName}` : undefined
}
