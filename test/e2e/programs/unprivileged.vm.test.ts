/** Real programs of a user who is not root, with no capability: saved and restored as those of root are, by a sidecar that has SYS_RESOURCE. */
import t from 'tap'
import { pythonImage } from '../../images/debian.ts'
import { restricted } from '../restricted.ts'
import { openStage } from '../support.ts'
import { bash } from './bash.ts'
import { runGenerations } from './generations.ts'
import { perl } from './perl.ts'
import type { RealProgram } from './program.ts'
import { python } from './python.ts'
import { sqlite, sqliteWal } from './sqlite.ts'

const programs: RealProgram[] = [bash, python, perl, sqlite, sqliteWal]

t.test('programs of an unprivileged user go on for three generations', async (t) => {
  const stage = await openStage(t, { base: await pythonImage() })
  const outcomes = await runGenerations(stage, programs, restricted)
  for (const { name } of programs) t.same(outcomes.get(name), { outcome: 'goes-on' }, name)
})
