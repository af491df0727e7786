import t from 'tap'
import { filesUnder, firstCodes, read, rows } from './documents.ts'

const contributing = read('CONTRIBUTING.md')

t.test('every target of the Makefile and every benchmark is in a table, and no other', async (t) => {
  const targets = [...read('Makefile').matchAll(/^([a-z][a-z0-9-]*):/gm)].map((match) => `make ${match[1]}`)
  const benches = filesUnder('bench')
    .map((path) => /^bench\/([a-z-]+)\.ts$/.exec(path)?.[1])
    .filter((name) => name !== undefined)
  t.ok(targets.length > 10 && benches.length > 2)
  t.same(firstCodes(contributing).sort(), [...targets, ...benches.map((name) => `make bench-${name}`)].sort())
})

t.test('the example of an end-to-end test uses what the stage exports', async (t) => {
  const names = /import \{ (.*) \} from '\.\/support\.ts'/.exec(contributing)?.[1]?.split(', ') ?? []
  t.ok(names.length > 3)
  const support = read('test/e2e/support.ts')
  t.same(
    names.filter((name) => !new RegExp(`export (?:const|(?:async )?function) ${name}\\b`).test(support)),
    [],
  )
})

t.test('what a target does is told', async (t) => {
  for (const [target = '', what = ''] of rows(contributing)) t.ok(what.length > 10, target)
})
