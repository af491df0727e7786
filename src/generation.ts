/**
 * Generations: a start from the beginning opens one, a restore continues that of its checkpoint. Only the newest is resumed without being
 * asked for, and a younger one must not cost an older one that was left for no fault of its own. Pure.
 */
import { isCheckpointId } from './checkpoint-id.ts'
import { kindOfReason } from './restore-reasons.ts'
import { object, text } from './shape.ts'

/**
 * Why a generation began. `good`: the generation before it is left for good, and gives way to the younger one. A checkpoint that could not be
 * brought back on one node, whose disk or memory may be bad, may be whole on the next.
 */
export const generationStarts = {
  first: { good: false, meaning: 'there was no checkpoint' },
  surroundings: {
    good: false,
    meaning: 'the store, the lock, the process numbers or the launcher stood in the way',
  },
  'earlier-release': {
    good: false,
    meaning: 'it continues a checkpoint of a release that knew no generations',
  },
  'asked-for': { good: false, meaning: 'the pod asked for one older checkpoint' },
  'asked-never': { good: true, meaning: 'the pod asked for no restore' },
  'other-work': { good: true, meaning: 'the owner or the template was another' },
  finished: { good: true, meaning: 'the work before it had ended with status 0' },
  damaged: { good: false, meaning: 'no checkpoint could be brought back' },
  died: { good: true, meaning: 'the application died early from each of its checkpoints' },
} as const satisfies Record<string, { good: boolean; meaning: string }>

export type GenerationStart = keyof typeof generationStarts

export type Generation = {
  id: string
  began: GenerationStart
  /** The checkpoint that a pod had asked for. */
  from?: string
}

/** What a checkpoint tells of the life of the application that it is of. */
export type Life = {
  generation: Generation
  /** The checkpoint that the application was restored from. */
  parent?: string
}

export const generationShape = object(
  {
    id: text('the id of a generation', 64, isCheckpointId),
    began: text('a reason for a generation', 32, (began) => Object.hasOwn(generationStarts, began)),
    from: text("a checkpoint's id", 64, isCheckpointId),
  },
  ['from'],
)

/** @param mode what the pod asks for: `latest` or a checkpoint's id */
export function restoredLife(
  { id, generation }: { id: string; generation?: Generation },
  mode: string,
  makeId: () => string,
): Life {
  if (mode === id) return { generation: { id: makeId(), began: 'asked-for', from: id }, parent: id }
  return { generation: generation ?? { id: makeId(), began: 'earlier-release' }, parent: id }
}

/** @param reasons why no checkpoint was restored */
export function startOfGeneration(reasons: readonly string[]): GenerationStart {
  // Of an older generation there is nothing to say where something is said of the newest.
  const ofNewest = reasons.filter((reason) => reason !== 'left-behind')
  const kinds = new Set((ofNewest.length === 0 ? reasons : ofNewest).map(kindOfReason))
  if (kinds.has('transient')) return 'surroundings'
  // What is tried is of the same work, whatever older checkpoints are of.
  const damage = reasons.filter((reason) => kindOfReason(reason) === 'damaged')
  if (damage.length > 0) return damage.every((reason) => reason === 'died-early') ? 'died' : 'damaged'
  if (kinds.has('other-work')) return 'other-work'
  if (reasons.includes('restore-never')) return 'asked-never'
  if (reasons.includes('finished')) return 'finished'
  return reasons.length === 0 ? 'first' : 'surroundings'
}
