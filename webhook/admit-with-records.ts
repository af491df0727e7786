/** An admission with what the pod's lineage has recorded that it needs. A record that comes too late changes nothing. */
import type { Admission } from './admit.ts'
import type { LineageRecords } from './lineage-records.ts'
import { withinDeadline } from './within-deadline.ts'

/** Of what the API server gives: the pod is better admitted as it is than not at all. */
const shareOfBudget = 0.3

/** @param admit with the needs by the container's name */
export async function admitWithRecords(
  records: LineageRecords,
  admit: (needs: ReadonlyMap<string, number>) => Admission,
  budgetMs: number,
): Promise<Admission> {
  const needs = new Map<string, number>()
  const { decision } = admit(needs)
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
  // A copy: a record that comes later must not change what is being answered.
  return admit(new Map(needs))
}
