import t from 'tap'
import { codeLines, codes, documents, filesUnder, read, section } from './documents.ts'

const targets = [...read('Makefile').matchAll(/^([a-z][a-z0-9-]*):/gm)].map((match) => match[1] ?? '')
const benches = filesUnder('bench').flatMap((path) => /^bench\/([a-z-]+)\.ts$/.exec(path)?.[1] ?? [])
const known = new Set([...targets, ...benches.map((name) => `bench-${name}`)])

t.test('every target that a document names exists', async (t) => {
  t.ok(targets.length > 10 && benches.length > 2)
  const unknown = documents().flatMap((path) => {
    const text = read(path)
    const commands = [...codes(text), ...codeLines(text)].flatMap(
      (line) => /^\s*(?:[A-Z_]+=\S* )*make ([a-z][a-z0-9-]*\b(?!\*))/.exec(line)?.[1] ?? [],
    )
    return commands.filter((target) => !known.has(target)).map((target) => `${path}: make ${target}`)
  })
  t.same(unknown, [])
})

t.test('every target and every benchmark is described', async (t) => {
  const described = new Set(codes(read('docs/development.md')))
  t.same([...known].filter((target) => !described.has(`make ${target}`)), []) // prettier-ignore
})

t.test('the example of an end-to-end test uses what the stage exports', async (t) => {
  const line =
    codeLines(read('docs/development.md')).find((text) => text.endsWith("from './support.ts'")) ?? ''
  const names = /\{ (.*) \}/.exec(line)?.[1]?.split(', ') ?? []
  t.ok(names.length > 3)
  const support = read('test/e2e/support.ts')
  t.same(
    names.filter((name) => !new RegExp(`export (?:const|(?:async )?function) ${name}\\b`).test(support)),
    [],
  )
})

t.test('the log lines that need a person are those of the program', async (t) => {
  const paths = ['sidecar', 'launcher'].flatMap((folder) => filesUnder(folder))
  const sources = paths.filter((path) => /\.(?:ts|c)$/.test(path)).map(read).join('\n') // prettier-ignore
  const items = section(read('docs/operations.md'), '## Log lines that need a person').split('\n')
  const lines = items.flatMap((item) => (item.startsWith('- **`') ? (codes(item)[0] ?? []) : []))
  t.ok(lines.length > 30)
  t.same(
    // The launcher's end with what varies.
    lines.filter((line) => !sources.includes(`'${line}'`) && !sources.includes(`warn("${line}: `)),
    [],
  )
})
