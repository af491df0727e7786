/** What a run brings into the guest beside its system: the repository as it is now, and what was built of it. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { cacheDir } from '../../scripts/cache.ts'
import { must } from '../../scripts/command.ts'
import { programLayer } from '../images/reprieve.ts'
import { guestCache, guestRepository } from './system.ts'

const root = join(import.meta.dirname, '../..')

/**
 * Writes a tar archive that is unpacked over the guest's root: the sources, the program's layer of Reprieve's image, and the
 * compiled test programs that are in the cache. What is missing of those the guest compiles by itself.
 */
export async function writePayload(file: string): Promise<void> {
  const built = [`layers/${basename(await programLayer())}`]
  if (existsSync(join(cacheDir, 'programs'))) built.push('programs')
  // Transformed names of what links point to would be wrong (flag S).
  const named = [
    `--transform=s,^\\./,${guestRepository}/,S`,
    `--transform=s,^\\(layers\\|programs\\),${guestCache}/&,S`,
  ]
  const left = ['node_modules', 'build', '.git', '.tap'].map((name) => `--exclude=./${name}`)
  await must(['tar', '-cf', file, ...named, ...left, '-C', root, './', '-C', cacheDir, ...built], {
    deadlineMs: 120_000,
  })
}
