/**
 * Platforms whose own admission refuses the sidecar, or whose nodes confine it, as far as a pod shows them. Pure.
 * https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
 * https://cloud.google.com/kubernetes-engine/docs/concepts/autopilot-security
 */
import { at } from './json-path.ts'
import type { Obstacle } from './obstacles.ts'
import type { Container, Pod } from './pod.ts'
import { isText } from './shape.ts'

/** OpenShift's admission writes down which constraints it has chosen, before it asks webhooks; afterwards it holds the pod to them. */
const constraints = 'openshift.io/scc'
/** Those that come with OpenShift and refuse SYS_ADMIN, with and without their version. Others are the administrator's, who may allow it. */
const refusing = /^(?:restricted|nonroot|anyuid|hostaccess|hostmount-anyuid|hostnetwork|machine-api-termination-handler|node-exporter|insights-runtime-extractor-scc)(?:-v[23])?$/ // prettier-ignore

const autopilotKeys = /^autopilot\.gke\.io\//

export function platformObstacles({ metadata: { annotations, labels }, spec }: Pod): Obstacle[] {
  const found: string[] = []
  const scc = at(annotations, constraints)
  if (isText(scc) && refusing.test(String(scc)))
    found.push(
      `OpenShift holds the pod to the SecurityContextConstraints ${String(scc)}, which refuse the sidecar: Reprieve does not support OpenShift`,
    )
  const key = Object.keys({ ...labels, ...annotations }).find((one) => autopilotKeys.test(one))
  const computeClass = at(spec.nodeSelector, 'cloud.google.com/compute-class')
  const sign =
    key ??
    (/^autopilot(?:-|$)/.test(String(computeClass)) ? `compute-class ${String(computeClass)}` : undefined)
  if (sign !== undefined)
    found.push(`the pod has ${sign}: GKE Autopilot refuses the sidecar's capabilities and volumes`)
  return found.map((text) => ({ reason: 'platform', text }))
}

/** Of a pod that is protected all the same: whether the node enforces SELinux or has AppArmor, no pod shows. */
export function confinementWarnings(pod: Pod, containers: readonly Container[]): string[] {
  const scc = at(pod.metadata.annotations, constraints)
  const contexts = [pod.spec, ...containers].map((holder) => at(holder, 'securityContext'))
  const isLabelled = contexts.some((context) => {
    const type = at(context, 'seLinuxOptions', 'type')
    return isText(type) && type !== ''
  })
  return [
    ...(scc === undefined ? [] : ['Reprieve does not support OpenShift: its nodes enforce SELinux']),
    ...(isLabelled
      ? ['a node that enforces SELinux is not supported: there the sidecar is not let at the application, which runs unprotected']
      : []),
    ...containers.filter((container) => hasOwnProfile(pod, container)).map(
      ({ name }) =>
        `container ${name} has an AppArmor profile of its own: it has to allow /reprieve/bin/launcher, which starts the application`,
    ),
  ] // prettier-ignore
}

function hasOwnProfile(pod: Pod, container: Container): boolean {
  const annotation = at(pod.metadata.annotations, `container.apparmor.security.beta.kubernetes.io/${container.name}`)
  const field = at(container, 'securityContext', 'appArmorProfile') ?? at(pod.spec, 'securityContext', 'appArmorProfile')
  return at(field, 'type') === 'Localhost' || String(annotation).startsWith('localhost/')
} // prettier-ignore
