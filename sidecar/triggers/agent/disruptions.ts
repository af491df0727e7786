/**
 * What Kubernetes announces, as notices: one rule for each fact. Printed by `node sidecar/main.ts --explain`, and generated into docs/notices.md
 * (`make docs`). Pure. Why which: docs/decisions/0043.
 */
import { disruptionFacts, type Disruption, type DisruptionFact } from '../../../src/agent/protocol.ts'
import { agentSource, type Certainty, type Notice, type NoticeKind } from '../notices/notice.ts'

type Rule = { fact: DisruptionFact; names?: readonly string[]; kind: NoticeKind; certainty: Certainty }

/** The first that fits counts; without names it fits every name. */
export const disruptionRules: readonly Rule[] = [
  { fact: 'deleted', kind: 'pod-deleted', certainty: 'certain' },
  // The kubelet kills the pod by itself, and runs its preStop hooks.
  { fact: 'disruption-target', names: ['TerminationByKubelet'], kind: 'pod-deleted', certainty: 'certain' },
  { fact: 'disruption-target', names: ['PreemptionByScheduler', 'DeletionByTaintManager', 'EvictionByEvictionAPI', 'DeletionByPodGC', 'DeletionByDeviceTaintManager'], kind: 'pod-disrupted', certainty: 'likely' }, // prettier-ignore
  { fact: 'disruption-target', kind: 'pod-disrupted', certainty: 'possible' },
  { fact: 'no-execute', names: ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'], kind: 'pod-disrupted', certainty: 'likely' }, // prettier-ignore
  { fact: 'no-execute', kind: 'pod-disrupted', certainty: 'certain' },
  { fact: 'taint', names: ['cloud.google.com/impending-node-termination', 'aws-node-termination-handler/spot-itn', 'aws-node-termination-handler/asg-lifecycle-termination', 'remediator.kubernetes.azure.com/unschedulable'], kind: 'machine-terminated', certainty: 'likely' }, // prettier-ignore
  { fact: 'taint', names: ['aws-node-termination-handler/rebalance-recommendation', 'aws-node-termination-handler/scheduled-maintenance'], kind: 'machine-at-risk', certainty: 'possible' }, // prettier-ignore
  { fact: 'taint', names: ['karpenter.sh/disrupted', 'ToBeDeletedByClusterAutoscaler', 'node.kubernetes.io/out-of-service', 'node.cloudprovider.kubernetes.io/shutdown'], kind: 'node-leaving', certainty: 'likely' }, // prettier-ignore
  { fact: 'taint', names: ['DeletionCandidateOfClusterAutoscaler', 'node.kubernetes.io/unschedulable'], kind: 'node-cordoned', certainty: 'possible' }, // prettier-ignore
  { fact: 'cordon', kind: 'node-cordoned', certainty: 'possible' },
  { fact: 'condition', names: ['Ready', 'MemoryPressure', 'PIDPressure'], kind: 'machine-at-risk', certainty: 'possible' }, // prettier-ignore
]

/** @returns undefined for what announces no end, such as a taint that nobody here knows */
export function noticeOf({ id, fact, name, deadlineMs, detail }: Disruption): Notice | undefined {
  const rule = disruptionRules.find(
    (one) => one.fact === fact && (one.names === undefined || one.names.includes(name ?? '')),
  )
  if (rule === undefined) return undefined
  const { kind, certainty } = rule
  return { source: agentSource, id, kind, container: undefined, deadline: deadlineMs, certainty, detail }
}

/** The rules as the documents have them. */
export function explainDisruptions(): string {
  const head = ['what Kubernetes says', 'name', 'notice', 'certainty']
  const rows = disruptionRules.flatMap(
    ({ fact, names, kind, certainty }) =>
    (names?.map((name) => `\`${name}\``) ?? ['any other']).map((name) => [disruptionFacts[fact], name, `\`${kind}\``, certainty]), // prettier-ignore
  )
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
    .concat('\n')
}
