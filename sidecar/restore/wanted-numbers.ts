/** The process numbers of the checkpoints that the restore init container has fetched: containers that start later need them, too. */
import { readdir, readFile } from 'node:fs/promises'
import { parseManifest } from '../../src/manifest-codec.ts'
import { volumePaths } from '../../src/volume.ts'
import type { Surroundings } from '../setup/surroundings.ts'
import { fetchedMark } from './preparation.ts'

/** Best effort: a container whose numbers are not known here is restored as long as they are free. */
export async function wantFetched({ podPlan, numbers }: Surroundings): Promise<void> {
  for (const { name } of podPlan.containers) {
    const folder = `${volumePaths.staging}/${name}`
    const marks = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith(`.${fetchedMark}`))
    const pids: number[] = []
    for (const mark of marks) {
      try {
        pids.push(...parseManifest(await readFile(`${folder}/${mark}`)).process.pids)
      } catch {
        // The preparation reads it again, and tells.
      }
    }
    if (pids.length > 0) numbers.want(name, pids)
  }
}
