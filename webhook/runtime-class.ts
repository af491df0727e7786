/**
 * Pods whose containers do not run as processes of the node: sandboxes, virtual machines, WebAssembly. CRIU would find nothing to dump. The webhook
 * sees the name of a runtime class, not its handler, so it knows the names that the projects give theirs; the configuration knows the rest. Pure.
 * https://kubernetes.io/docs/concepts/containers/runtime-class/
 */
import type { Config } from '../src/config.ts'
import { at } from './json-path.ts'
import type { Obstacle } from './obstacles.ts'
import type { Pod } from './pod.ts'
import { isRecord } from './shape.ts'

/** Words of the names, between their `-`, `.` and `_`: `kata-qemu-tdx`, `wasmtime-spin-v2`. */
const sandboxes =
  /^(?:gvisor|runsc|kata\w*|qemu|clh|dragonball|firecracker|stratovirt|confidential\w*|coco|enclave\w*|quark|nabla|runv|vm|microvm|krun|sysbox\w*|wasm\w*|wasi|spin|slight|spinkube|lunatic|wws|rund|eci|cci|hyperv|runhcs\w*|unikernel|urunc|inclavare|rune|edera|edgeless)$/i

/** Labels of nodes that only such pods select: those that GKE and Kata give. */
const nodeLabels = /^(?:sandbox\.gke\.io\/runtime|katacontainers\.io\/.*)$/

export function runtimeObstacles(pod: Pod, config: Config): Obstacle[] {
  const sign = signOf(pod, config)
  if (sign === undefined) return []
  const why = 'CRIU works only with containers that are processes of the node'
  return [{ reason: 'runtime-class', text: `${sign}: ${why}` }]
}

function signOf({ spec }: Pod, { runtimeClasses }: Config): string | undefined {
  const { overhead, nodeSelector } = spec
  const name = spec.runtimeClassName ?? ''
  const said = runtimeClasses.get(name)
  if (said === 'runc') return undefined
  if (said === 'other' || name.split(/[-._]/).some((word) => sandboxes.test(word)))
    return `runtimeClassName is ${name}`
  // The API server has put it there from the runtime class: what a virtual machine takes beside its containers.
  if (isRecord(overhead) && Object.keys(overhead).length > 0)
    return `the runtime class ${name} has an overhead, as virtual machines have`
  const label = Object.keys(nodeSelector ?? {}).find(
    (key) => nodeLabels.test(key) && at(nodeSelector, key) !== 'false',
  )
  return label === undefined ? undefined : `nodeSelector has ${label}`
}
