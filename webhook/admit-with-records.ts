/** `admit` with what the pod's lineage has recorded that it needs. A record that does not come in time gives nobody more. */
import { admit } from './admit.ts'
import type { TimedAdmit } from './admit-with-images.ts'
import type { LineageRecords } from './lineage-records.ts'
import { withinDeadline } from './within-deadline.ts'

/** Of what the API server gives: the pod is better admitted as it is than not at all. */
const shareOfBudget = 0.3

export function admitWithRecords(records: LineageRecords): TimedAdmit {
  return async (request, optedInBy, config, _signal, budgetMs, entrypoints) => {
    const needs = new Map<string, number>()
    const { decision } = admit(request, optedInBy, config, entrypoints, needs)
    if (decision.outcome === 'inject')
      await withinDeadline(
        budgetMs * shareOfBudget,
        async (signal) => {
          const { lineage, containers } = decision.plan
          for (const { name } of containers) {
            const bytes = await records.memoryNeed(lineage, name, signal)
            if (bytes !== undefined) needs.set(name, bytes)
          }
        },
        () => undefined,
      ).catch(() => undefined)
    // Whatever comes later is not to change what is being answered.
    return admit(request, optedInBy, config, entrypoints, new Map(needs))
  }
}
