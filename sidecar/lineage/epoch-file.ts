/** A file in the pod's volume that names the epoch of this pod in a slot: the restore init container takes it, and the sidecar keeps it across restarts. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { volumePaths } from '../../src/volume.ts'
import type { Epoch } from '../../src/store/epochs.ts'

/** `withoutLock`: taken from a writer that gave no sign of life, whose lock the file server still keeps. */
export type OwnEpoch = Epoch & { withoutLock: boolean }

export interface EpochFile {
  read(): Promise<OwnEpoch | undefined>
  write(own: OwnEpoch): Promise<void>
}

export function epochFileOf(container: string): EpochFile {
  const path = `${volumePaths.run}/${container}.epoch`
  return {
    read: async () => parse(await readFile(path, 'utf8').catch(() => '')),
    write: async (own) => {
      await writeFile(`${path}.new`, JSON.stringify(own))
      await rename(`${path}.new`, path)
    },
  }
}

function parse(text: string): OwnEpoch | undefined {
  try {
    const { number, gate, withoutLock } = JSON.parse(text) as Partial<OwnEpoch>
    if (typeof number !== 'number' || typeof gate !== 'string') return undefined
    return { number, gate, withoutLock: withoutLock === true }
  } catch {
    return undefined
  }
}
