/**
 * What a restore does with the pod's volumes that other containers use as well. Pure. The rule: no file is made older, or removed, that
 * somebody who runs may have written since the pod's first application began on its volume (docs/decisions: shared volumes).
 */
import { overlap, type PodVolume } from './pod-volumes.ts'
import type { VolumeNote } from './volume-note.ts'
import type { StateOfFile } from './volume-state.ts'

/**
 * `own`: no other container uses it, and it goes back whole. `first`: nobody that we protect has begun on it in this pod. `beside`: a
 * neighbour has, and this container begins only now. `lived`: so has this container, in an earlier life.
 */
export type Share = 'own' | 'first' | 'beside' | 'lived'

export type Company = {
  /** Of this container, from an earlier life in this pod. */
  own: VolumeNote | undefined
  /** Of the other protected containers. */
  others: readonly VolumeNote[]
  /** A program of another container runs, and uses it. */
  isUsed: (volume: PodVolume) => boolean
}

export function shareOf(volume: PodVolume, { own, others, isUsed }: Company): Share {
  const begun = others.some(({ volumes }) => volumes.some((one) => overlap(one, volume)))
  if (!begun && !isUsed(volume)) return 'own'
  return own !== undefined ? 'lived' : begun ? 'beside' : 'first'
}

export type SharedFile = {
  share: Exclude<Share, 'own'>
  isGiven: boolean
  /** By the application, at the checkpoint. */
  isHeld: boolean
  /** By a program of another container, now. */
  isHeldBeside: boolean
  /** Undefined where it is not there. */
  now: (Pick<StateOfFile, 'changed'> & { isSince: boolean }) | undefined
  /** What the notes say of it: as it was when nobody had touched it. */
  known: ReadonlySet<string>
  /** The checkpoint is later than those that the neighbours went on from. */
  isNewest: boolean
}

/** Whether the checkpoint's file takes its place. @param file no folder; `now.isSince`: changed after this container began */
export function comesBack({
  share,
  isGiven,
  isHeld,
  isHeldBeside,
  now,
  known,
  isNewest,
}: SharedFile): boolean {
  if (isHeldBeside) return false
  switch (share) {
    case 'first':
      return now?.isSince !== true
    case 'beside':
      if (now === undefined) return known.size === 0
      return known.has(now.changed) && (isHeld || isNewest)
    case 'lived':
      // Nobody else has it open, and nobody has written to it since the application died: in /dev/shm it is the application's own.
      return isGiven && isHeld && now?.isSince !== true
  }
}
