/** What the harness cannot do as a kubelet would, it refuses, so that no test passes for the wrong reason. */
import type { PodManifest } from './manifest.ts'

const specFields = [
  'containers', 'initContainers', 'volumes', 'restartPolicy', 'terminationGracePeriodSeconds', 'shareProcessNamespace',
  'hostname', 'subdomain', 'serviceAccountName', 'nodeName', 'securityContext',
  // Of no meaning once a pod is on a node, or only to the scheduler and the API server:
  'serviceAccount', 'automountServiceAccountToken', 'dnsPolicy', 'enableServiceLinks', 'priority', 'priorityClassName',
  'preemptionPolicy', 'schedulerName', 'tolerations', 'nodeSelector', 'affinity', 'imagePullSecrets', 'overhead',
  'topologySpreadConstraints', 'readinessGates', 'schedulingGates', 'runtimeClassName', 'hostAliases', 'os',
] // prettier-ignore
const containerFields = [
  'name', 'image', 'command', 'args', 'workingDir', 'env', 'ports', 'volumeMounts', 'resources', 'securityContext',
  'lifecycle', 'startupProbe', 'livenessProbe', 'readinessProbe', 'restartPolicy', 'terminationMessagePath',
  'imagePullPolicy', 'terminationMessagePolicy', 'resizePolicy',
] // prettier-ignore

/** @throws Error naming every field that the harness does not act on. */
export function refuseUnknown(manifest: PodManifest): void {
  const problems: string[] = []
  const { spec } = manifest
  const check = (object: object, known: string[], where: string) => {
    for (const [key, value] of Object.entries(object))
      if (!known.includes(key) && value !== false && value !== undefined) problems.push(`${where}.${key}`)
  }
  check(spec, specFields, 'spec')
  for (const [kind, list] of [
    ['initContainers', spec.initContainers ?? []],
    ['containers', spec.containers],
  ] as const)
    // prettier-ignore
    for (const container of list) {
      const where = `spec.${kind}[${container.name}]`
      check(container, containerFields, where)
      if (container.securityContext?.privileged === true) problems.push(`${where}.securityContext.privileged`)
    }
  if (problems.length > 0) throw new Error(`the pod harness does not know ${problems.join(', ')}`)
}
