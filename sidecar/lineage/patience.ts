/** How long a pod waits for another one of its lineage, by what owns them. */

/**
 * How long a pod waits for another one that has not announced its end. The kubelet runs the preStop hook of a deleted pod, which announces
 * the end, within a second or two. After this time the other pod is a running replica of the same lineage.
 */
// @deadline Another pod of the lineage is alive | The application starts without protection
export const waitForRunningMs = 15_000
/**
 * And where it most likely is one: the pods of a ReplicaSet share a lineage. Long enough for the announcement of a pod that was deleted, since its
 * replacement is first created, scheduled and mounted.
 */
// @deadline Another replica of the Deployment is alive | The application starts without protection
const waitForReplicaMs = 3_000
export type Patience = {
  patienceMs?: number
  /** A checkpoint is to be restored whatever the work. */
  evenForOtherWork?: boolean
  /** Other replicas share the lineage: one that is as young as this pod is none that it replaces. */
  besideSiblings?: boolean
}

/** How a pod of the lineage waits for another one that has not announced its end. */
export function patienceOf(lineage: string): { patienceMs: number; besideSiblings: boolean } {
  const [, kind = '', ...names] = lineage.split('/')
  const besideSiblings = /^(?:Deployment|ReplicaSet)$/.test(kind) && names.length === 1
  return { patienceMs: besideSiblings ? waitForReplicaMs : waitForRunningMs, besideSiblings }
}
