import { join } from 'node:path'
import t from 'tap'
import { passagesOf, proseFiles, proseProblems, sentencesOf } from '../../scripts/check-prose.ts'

const words = (count: number) => `Word ${'word '.repeat(count - 1).trim()}.`

t.test('lines have at most 120 columns, those of tables 160', async (t) => {
  const line = 'The word '.repeat(20)
  t.same(proseProblems('a.md', line.slice(0, 120)), [])
  t.same(proseProblems('a.md', line.slice(0, 121)), ['a.md:1: 121 columns; at most 120 are allowed'])
  t.same(proseProblems('a.md', `| ${'x '.repeat(79)}`), [])
  t.same(proseProblems('a.md', `| ${'x '.repeat(80)}`), ['a.md:1: 162 columns; at most 160 are allowed'])
  t.same(proseProblems('a.md', '```\n' + line + '\n```'), ['a.md:2: 180 columns; at most 120 are allowed'])
})

t.test('but a word that is longer by itself, such as an address, cannot be broken', async (t) => {
  t.same(proseProblems('a.md', `see [it](https://example.com/${'x'.repeat(120)})`), [])
})

t.test('a sentence has at most 35 words, wherever its lines end', async (t) => {
  t.same(
    proseProblems('a.md', `${words(35)} ${words(35)}`.replaceAll('word word word ', 'word word word\n')),
    [],
  )
  const [problem = '', ...others] = proseProblems(
    'a.md',
    `Short.\n${words(36)}`.replaceAll(/(word ){9}/g, '$&\n'),
  )
  t.match(problem, 'a.md:1: a sentence of 36 words; at most 35 are allowed')
  t.same(others, [])
})

t.test('of code, tables, headings and comments no sentence is counted', async (t) => {
  const long = 'a '.repeat(50)
  t.same(
    proseProblems('a.md', `# ${long}\n\n\`\`\`sh\n${long}\n\`\`\`\n\n| ${long} |\n\n<!-- ${long} -->`),
    [],
  )
  t.same(proseProblems('a.md', `Run \`${long}\` now.`), [], 'and code in a line is one word')
})

t.test('items of a list are sentences of their own', async (t) => {
  t.same(passagesOf('One\ntwo\n- three\n  four\n- five\n1. six').map(({ text }) => text), ['One two', 'three four', 'five', 'six']) // prettier-ignore
})

t.test('a subject is named: "who" and "what" begin only questions', async (t) => {
  t.match(proseProblems('a.md', 'It ends. Who waits is told.'), [/begins with its subject's "who" or "what"/])
  t.match(proseProblems('a.md', '- What is left is removed.'), [/begins with its subject's "who" or "what"/])
  t.same(proseProblems('a.md', 'Who waits? The sidecar waits.'), [])
})

t.test('where sentences end', async (t) => {
  t.same(sentencesOf('It is 1.5 s, e.g. in a pod. The rest follows! "So?" Yes.'), ['It is 1.5 s, e.g. in a pod.', 'The rest follows!', '"So?"', 'Yes.']) // prettier-ignore
  t.same(sentencesOf('See config.yaml. Then (perhaps) a code is read.'), ['See config.yaml.', 'Then (perhaps) a code is read.']) // prettier-ignore
})

t.test('it reads what people read', async (t) => {
  const files = proseFiles(join(import.meta.dirname, '../..'))
  for (const path of ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'docs/usage.md'])
    t.ok(files.includes(path), path)
  t.ok(files.some((path) => path.startsWith('docs/runbooks/')))
})
