/** What Kubernetes says about the end of a pod, read off the pod and its node: facts for its sidecar, which decides what they mean. Pure. */
import { mostDisruptions, shortened, type Disruption } from '../src/agent/protocol.ts'
import type { Condition, NodeView, PodView, Taint, Toleration } from './pod-view.ts'

export function disruptionsOf(pod: PodView, node: NodeView | undefined): Disruption[] {
  const all = [...ofPod(pod), ...(node === undefined ? [] : ofNode(pod, node))]
  return all.slice(0, mostDisruptions)
}

function ofPod({ deletedAtMs, conditions }: PodView): Disruption[] {
  const found: Disruption[] = []
  if (deletedAtMs !== undefined)
    found.push({ id: 'deleted', fact: 'deleted', deadlineMs: deletedAtMs, detail: 'the pod was deleted' })
  for (const { type, status, reason, message } of conditions)
    if (type === 'DisruptionTarget' && status === 'True')
      found.push({
        id: `disruption-target ${reason}`,
        fact: 'disruption-target',
        ...named(reason),
        // Of a pod that is deleted already, its deletion says when.
        ...(deletedAtMs === undefined ? {} : { deadlineMs: deletedAtMs }),
        detail: shortened(message || reason || 'DisruptionTarget'),
      })
  return found
}

function ofNode(pod: PodView, node: NodeView): Disruption[] {
  const found: Disruption[] = []
  if (node.isCordoned)
    found.push({ id: 'cordon', fact: 'cordon', detail: `the node ${node.name} is cordoned` })
  for (const taint of node.taints) found.push(...ofTaint(pod, taint))
  for (const condition of node.conditions)
    if (!isAsItShouldBe(condition))
      found.push({
        id: `condition ${condition.type}`,
        fact: 'condition',
        ...named(condition.type),
        detail: shortened(
          `${condition.type} is ${condition.status}: ${condition.message || condition.reason}`,
        ),
      })
  return found
}

function ofTaint(pod: PodView, taint: Taint): Disruption[] {
  const { key, value, effect, addedAtMs } = taint
  const detail = shortened(`the node has the taint ${key}${value === '' ? '' : `=${value}`}:${effect}`)
  const told: Disruption[] = [{ id: `taint ${key}:${effect}`, fact: 'taint', ...named(key), detail }]
  if (effect !== 'NoExecute') return told
  const seconds = toleratedSeconds(pod.tolerations, taint)
  if (seconds === Number.POSITIVE_INFINITY) return told
  // The end of the pod comes when its grace is over, after it was tolerated for so long. Without an instant nobody says when that began.
  const endsAtMs = addedAtMs === undefined ? undefined : addedAtMs + seconds * 1_000 + pod.graceMs
  const deadline = endsAtMs === undefined ? {} : { deadlineMs: endsAtMs }
  return [...told, { id: `no-execute ${key}`, fact: 'no-execute', ...named(key), ...deadline, detail }]
}

/** How long the taint manager lets the pod stay: the least that any of its tolerations says, for ever only if none says how long. */
export function toleratedSeconds(tolerations: readonly Toleration[], taint: Taint): number {
  const matching = tolerations.filter((toleration) => tolerates(toleration, taint))
  if (matching.length === 0) return 0
  return Math.min(...matching.map(({ seconds }) => Math.max(0, seconds ?? Number.POSITIVE_INFINITY)))
}

/** v1.Toleration.ToleratesTaint. */
function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false
  if (key !== '' && key !== taint.key) return false
  if (operator === 'Exists') return true
  return key !== '' && operator === 'Equal' && value === taint.value
}

/** Of the conditions that the kubelet and the cloud's controllers set; others may mean anything. */
function isAsItShouldBe({ type, status }: Condition): boolean {
  if (type === 'Ready') return status === 'True'
  const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']
  return !pressures.includes(type) || status !== 'True'
}

function named(name: string): { name?: string } {
  return name === '' ? {} : { name: shortened(name) }
}
