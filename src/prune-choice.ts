/** Which checkpoints of a slot give way to younger ones. Pure. */
import { generationStarts, type Generation } from './generation.ts'

export type Prunable = { id: string; generation?: Generation }

export type PruneOptions = {
  /** Complete checkpoints of the writer's own generation that stay. */
  keep: number
  /** The writer's own; undefined for the one that knows no generations. */
  generation: string | undefined
  /** The checkpoint that the writer put last: it counts as the newest, whatever its id. */
  putLast: string | undefined
  /** Whose time to live is over. */
  overdue?: ReadonlySet<string>
}

/**
 * Of the writer's own generation the newest `keep` stay. Of older generations that were left for good (the work is another, it is finished,
 * the application died of them) the newest checkpoint of the newest one stays, so that a pod can ask for it. An older generation that was left
 * for another reason stays whole, and so does one of a release that knew no generations. The time to live ends all of them: an older generation
 * goes when that of its newest checkpoint is over.
 *
 * @param complete newest first
 * @param unreadable their ids. One takes no place of a complete one; it is removed when it is older than all that stay: until then it may
 *   belong to another release, or people may want to see what damaged it.
 */
export function doomedCheckpoints(
  complete: readonly Prunable[],
  unreadable: readonly string[],
  { keep, generation, putLast, overdue = new Set() }: PruneOptions,
): string[] {
  if (keep === 0) return [...complete.map(({ id }) => id), ...unreadable]
  const own = complete.filter((one) => one.generation?.id === generation).map(({ id }) => id)
  const first = own.filter((id) => id === putLast)
  const stays = new Set([...first, ...own.filter((id) => id !== putLast)].slice(0, keep))
  for (const id of othersThatStay(complete, generation, overdue)) stays.add(id)
  const oldest = [...stays].sort()[0]
  if (oldest === undefined) return []
  const gone = complete.filter(({ id }) => !stays.has(id)).map(({ id }) => id)
  return [...gone, ...unreadable.filter((id) => id < oldest)]
}

function othersThatStay(
  complete: readonly Prunable[],
  own: string | undefined,
  overdue: ReadonlySet<string>,
): string[] {
  const stays: string[] = []
  // Newest generation first. Until the writer's own has a checkpoint, nothing is older than it.
  let isOlder = false
  let isLeftForGood = false
  let isPastKept = false
  for (const [id, checkpoints] of generationsOf(complete)) {
    const began = checkpoints[0]?.generation?.began
    if (id === own) isOlder = true
    else if (isOlder && checkpoints.every((one) => overdue.has(one.id))) continue
    else if (!isOlder || !isLeftForGood || id === undefined) stays.push(...checkpoints.map((one) => one.id))
    else if (!isPastKept) {
      isPastKept = true
      stays.push(...checkpoints.slice(0, 1).map((one) => one.id))
    }
    if (isOlder && began !== undefined && generationStarts[began].good) isLeftForGood = true
  }
  return stays
}

/** By the newest checkpoint of each, newest first. */
function generationsOf<T extends Prunable>(complete: readonly T[]): Map<string | undefined, T[]> {
  const generations = new Map<string | undefined, T[]>()
  for (const one of complete) {
    const id = one.generation?.id
    generations.set(id, [...(generations.get(id) ?? []), one])
  }
  return generations
}
