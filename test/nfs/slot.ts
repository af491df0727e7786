import { containerPlan, podPlan } from '../sidecar/stand-ins.ts'

/** That of `lockIn`. */
export const nfsSlot = { lineage: podPlan.lineage, container: containerPlan.name }
