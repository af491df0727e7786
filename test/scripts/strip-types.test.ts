import { readFileSync } from 'node:fs'
import t from 'tap'
import { stripFolders, toJavaScript } from '../../scripts/strip-types.ts'

t.test('types go, lines stay, and imports of sources become imports of what is made of them', async (t) => {
  const source = [
    "import type { A } from './a.ts'",
    "import { b } from '../b.ts'",
    "export { c } from './deep/c.ts'",
    'type Local = { x: A }',
    "const late = await import('./late.ts') as unknown",
    "import pino from 'pino'",
    "export const text: string = 'from elsewhere.ts'",
  ].join('\n')
  const lines = toJavaScript(source).split('\n')
  t.equal(lines.length, 7)
  t.same(lines.map((line) => line.trim()).filter(Boolean), [
    "import { b } from '../b.js'",
    "export { c } from './deep/c.js'",
    "const late = await import('./late.js')",
    "import pino from 'pino'",
    "export const text         = 'from elsewhere.ts'",
  ])
})

t.test('folders keep their shape, and only sources are taken', async (t) => {
  const root = t.testdir({
    src: { 'a.ts': 'export const a: number = 1\n', deep: { 'b.ts': '' }, 'notes.md': '' },
    out: {},
  })
  t.equal(stripFolders(root, ['src'], `${root}/out`), 2)
  t.equal(readFileSync(`${root}/out/src/a.js`, 'utf8').replace(/ +/g, ' '), 'export const a = 1\n')
  t.equal(readFileSync(`${root}/out/src/deep/b.js`, 'utf8'), '')
})
