/**
 * When the next periodic checkpoint is due. Pure. Pods of one workload begin together and would dump together, on the same
 * disks and to the same store: each lineage has a phase and a gait of its own, the same in every life.
 */
import { createHash } from 'node:crypto'

/** Each interval is up to this much shorter or longer than asked: pods that happen to meet part again. */
export const jitterShare = 0.1

/** A number from 0 to below 1 that the text always gives. */
export function fractionOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32
}

/** Between the container's start and its first checkpoint: from a half to one and a half intervals, by lineage. */
export function firstPauseMs(intervalMs: number, lineage: string, container: string): number {
  return intervalMs * (0.5 + fractionOf(`${lineage} ${container}`))
}

/** From the beginning of the checkpoint before to the next, by lineage and by how many there have been. */
export function pauseMs(intervalMs: number, lineage: string, container: string, turn: number): number {
  return intervalMs * (1 + jitterShare * (2 * fractionOf(`${lineage} ${container} ${turn}`) - 1))
}
