/** The files of volumes as they are now, by names as bytes in latin1. There may be a million, so nobody keeps them all. */
import { findEach, walkArguments, type FindOptions } from '../files/find.ts'
import type { EphemeralRoots } from '../files/mounts.ts'
import { fileName, type PodVolume } from './pod-volumes.ts'

export type StateOfFile = {
  isFolder: boolean
  /** Seconds since the epoch, as find(1) prints them: the same for the same instant. */
  changed: string
  /** DEVICE:INODE */
  file: string
}

/** @param each hears of each file and folder */
export async function eachState(
  options: FindOptions,
  roots: EphemeralRoots,
  volumes: readonly PodVolume[],
  each: (path: string, state: StateOfFile) => void,
): Promise<void> {
  if (volumes.length === 0) return
  const walk = walkArguments({ ...roots, roots: volumes.map(({ path }) => path) })
  await findEach(options, [...walk, '-printf', '%y %C@ %D %i %p\\0'], (entry) => {
    const [type, changed = '', device = '0', inode = '0'] = entry.split(' ', 4)
    const path = entry.split(' ').slice(4).join(' ')
    each(path, { isFolder: type === 'd', changed, file: fileName(BigInt(device), BigInt(inode)) })
  })
}
