/**
 * What a lineage's earlier pods have recorded that the next one needs (`needs` of a slot's record). Pods write it to their store, which the
 * webhook does not reach, so who keeps it for the webhook is a part of its own; without one nobody is given more.
 */
export interface LineageRecords {
  /**
   * The memory limit that the container needs, in bytes; undefined where nothing is recorded.
   * @param signal of the admission request's deadline
   */
  memoryNeed(lineage: string, container: string, signal: AbortSignal): Promise<number | undefined>
}
