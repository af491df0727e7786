/** Whether there is anything new to save. Pure. */
import type { Vitals } from '../../proc/vitals.ts'

/** Being woken from a dump, and a timer that looks at nothing, cost an idle program a tick or two of 10 ms. */
export const idleCpuMs = 20

/** What it had used when it stood still for its newest checkpoint, and held just before, where that is known. */
export type Then = { cpuMs: number; memoryBytes: number | undefined }

/**
 * An application that neither computed nor changed its memory since then has made none. One that used less began anew. Of one whose
 * children's time is forgotten it cannot be told, and a checkpoint too many costs less than one too few.
 */
export function madeProgress(then: Then, now: Vitals): boolean {
  if (now.cpuMs < then.cpuMs || now.cpuMs - then.cpuMs > idleCpuMs) return true
  if (now.forgetsChildren === true) return true
  return then.memoryBytes !== undefined && now.memoryBytes !== then.memoryBytes
}
