import { cpSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { launcherPath } from './launcher.ts'

const sources = resolve(import.meta.dirname, '../../launcher')

t.test('the same sources give the same bytes, wherever they lie', async (t) => {
  // Its hash is the launcher's name in the shared volume: another one for the same sources would be another launcher.
  const elsewhere = join(t.testdir({}), 'a longer path/launcher')
  cpSync(sources, elsewhere, { recursive: true })
  execFileSync('make', ['-s', '-C', elsewhere])
  t.ok(readFileSync(join(elsewhere, '../build/launcher/launcher')).equals(readFileSync(launcherPath)))
})
