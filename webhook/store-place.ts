/**
 * What a pod sees of its store. All namespaces share a directory of the node and an NFS export: there a pod mounts the folder of its namespace
 * only, which the kubelet makes. A claim is the namespace's own. Pure.
 */
import type { Config } from '../src/config.ts'
import type { StorePlan } from '../src/pod-plan.ts'
import { injectedNames, storeMountPath } from './image-paths.ts'

/** Of the pod's namespace, as the API server has it: no plan, annotation or review leads the kubelet to the folder of another one. */
export const namespaceVariable = 'REPRIEVE_NAMESPACE'

export function storePlan(name: string, namespace: string, config: Config): StorePlan {
  const plan = { kind: 'directory', name } as const
  return config.wholeStores.includes(name)
    ? { ...plan, path: `${storeMountPath}/${namespace}`, earlierPath: storeMountPath }
    : { ...plan, path: storeMountPath }
}

export function storeMount(name: string, config: Config): object {
  const mount = { name: injectedNames.storeVolume, mountPath: storeMountPath }
  return isMountedWhole(name, config) ? mount : { ...mount, subPathExpr: `$(${namespaceVariable})` }
}

export function isMountedWhole(name: string, config: Config): boolean {
  return config.wholeStores.includes(name) || 'persistentVolumeClaim' in (config.stores.get(name) ?? {})
}
