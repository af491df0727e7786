/** The Pod Security Standards of Kubernetes, and what of a pod violates one. Pure. */
import { capabilities, common, hostPath, procMount, seccomp } from './baseline.ts'
import type { Control, Held } from './held.ts'
import { restricting } from './restricted.ts'

/** The version that is written down here. A later one may allow more sysctls or types. */
export const standardsVersion = 'v1.36'

export const standards: Readonly<Record<Standard, readonly Control[]>> = {
  baseline: [...common, capabilities, hostPath, procMount, seccomp],
  restricted: [...common, ...restricting],
}

export type Standard = 'baseline' | 'restricted'

export function violationsOf(held: Held, standard: Standard): string[] {
  return standards[standard].flatMap(({ problemsOf }) => problemsOf(held))
}
