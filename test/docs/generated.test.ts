import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { proseFiles } from '../../scripts/check-prose.ts'
import { generated } from '../../scripts/docs.ts'
import { partsOf } from '../../scripts/docs/markers.ts'
import { parts } from '../../scripts/docs/parts.ts'
import { explainDisruptions } from '../../sidecar/triggers/agent/disruptions.ts'
import { explainAnswers } from '../../sidecar/triggers/notices/answers.ts'
import { errorCodes } from '../../src/errors.ts'
import { notTakenReasons } from '../../src/not-taken-reasons.ts'
import { rejectionReasons } from '../../src/restore-reasons.ts'
import { filesUnder, read, root } from './documents.ts'

t.test('the generated parts of the documents and the picture are fresh', async (t) => {
  const files = await generated(root)
  t.ok(files.size > 5)
  for (const [path, text] of files) t.equal(read(path), text, `${path}: make docs`)
})

t.test('every part that is generated stands in one document', async (t) => {
  const standing = proseFiles(root).flatMap((path) => partsOf(read(path)))
  t.same(standing.toSorted(), [...(await parts(root)).keys()].toSorted())
})

t.test('every reason that the sidecar writes where it arises has a row', async (t) => {
  const sources = filesUnder('sidecar').filter((path) => path.endsWith('.ts')).map(read) // prettier-ignore
  const written = sources.flatMap((text) =>
    [...text.matchAll(/reason: '([a-z-]+)'/g)].map((match) => match[1] ?? ''),
  )
  t.ok(written.length > 5, 'reasons are found in the sources')
  const rows = { ...notTakenReasons, ...rejectionReasons, ...errorCodes }
  t.same(written.filter((reason) => !Object.hasOwn(rows, reason)), []) // prettier-ignore
  t.same(Object.keys(notTakenReasons).filter((reason) => !written.includes(reason)), [], 'and real') // prettier-ignore
})

t.test('the sidecar prints the table of notices when it is asked to explain', async (t) => {
  const argv = [join(root, 'sidecar/main.ts'), '--explain']
  t.equal(
    execFileSync(process.execPath, argv, { encoding: 'utf8', timeout: 20_000 }),
    `${explainAnswers()}\n${explainDisruptions()}`,
  )
})
