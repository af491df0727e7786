/**
 * The memory that earlier pods of a lineage recorded for the next one (`needs` of a slot's record). Pods write it to their store, which the
 * webhook does not reach, so another part keeps it for the webhook. Without that part no pod gets more memory.
 */
export interface LineageRecords {
  /**
   * The memory limit that the container needs, in bytes; undefined where nothing is recorded.
   * @param signal of the admission request's deadline
   */
  memoryNeed(lineage: string, container: string, signal: AbortSignal): Promise<number | undefined>
}
