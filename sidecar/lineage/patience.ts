/** How long a pod waits for another one of its lineage, and how often that one shows that it lives, by what owns them. */
import { beatMs } from './holder-watch.ts'

/**
 * How long a pod waits for another one that has not announced its end. The kubelet runs the preStop hook of a deleted pod, which announces
 * the end, within a second or two. After this time the other pod is a running replica of the same lineage.
 */
// @deadline Another pod of the lineage is alive | The application starts without protection
export const waitForRunningMs = 15_000
/**
 * And where it most likely is one: the pods of a ReplicaSet share a lineage. Counted from the start of the waiting pod itself, since a pod that it
 * replaces was told to end before this one was created: it announces its end while this one is scheduled and mounted.
 */
// @deadline Another replica is alive; since the start of the pod | The application starts without protection
const waitForReplicaMs = 3_000
/** What is left of that to a pod that has waited for its image: enough to read who has the lineage, and whether it announces its end. */
const leastWaitMs = 500
/** A replica shows that it lives within the time that others wait for it: of one that may be dead they wait for a sign. */
const replicaBeatMs = 1_500
export type Patience = {
  patienceMs?: number
  /** A checkpoint is to be restored whatever the work. */
  evenForOtherWork?: boolean
  /** Other replicas share the lineage: one that is as young as this pod is none that it replaces. */
  besideSiblings?: boolean
}

/**
 * How a pod of the lineage waits for another one that has not announced its end.
 * @param podAgeMs how long ago the waiting pod itself began
 */
export function patienceOf(
  lineage: string,
  podAgeMs: number,
): { patienceMs: number; besideSiblings: boolean } {
  if (!isOfReplicas(lineage)) return { patienceMs: waitForRunningMs, besideSiblings: false }
  return { patienceMs: Math.max(leastWaitMs, waitForReplicaMs - podAgeMs), besideSiblings: true }
}

/** The pause between two signs of life of the pod that has the lineage. */
export function beatMsOf(lineage: string): number {
  return isOfReplicas(lineage) ? replicaBeatMs : beatMs
}

function isOfReplicas(lineage: string): boolean {
  const [, kind = '', ...names] = lineage.split('/')
  return /^(?:Deployment|ReplicaSet)$/.test(kind) && names.length === 1
}
