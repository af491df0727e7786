/**
 * An in-place resize as the kubelet does it (KEP-1287): it is infeasible where the node's allocatable memory is below what is asked, else the
 * runtime is told (UpdateContainerResources, which runc carries out), and the container runs on
 * (pkg/kubelet/kuberuntime/kuberuntime_manager.go, doPodResizeAction).
 */
import { readFileSync } from 'node:fs'

export class ResizeInfeasible extends Error {}

/** @throws ResizeInfeasible as the kubelet's condition PodResizePending says it, reason Infeasible (pkg/kubelet/allocation) */
export function requireAllocatable(limitBytes: number): void {
  const capacity = Number(/^MemTotal:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024
  if (limitBytes > capacity)
    throw new ResizeInfeasible(
      `Node didn't have enough capacity: memory, requested: ${limitBytes}, capacity: ${capacity}`,
    )
}
