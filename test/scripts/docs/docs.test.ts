import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { deadlinesIn, spanOf } from '../../../scripts/docs/deadlines.ts'
import { filled, partsOf } from '../../../scripts/docs/markers.ts'
import { list, pairs, sentence, table, wrappedLines } from '../../../scripts/docs/markdown.ts'
import { metricsIn } from '../../../scripts/docs/metric-rows.ts'

const document = 'Before\n\n<!-- generated: x -->\n\nold\n\n<!-- end -->\n\nAfter\n'

t.test('a generated part takes the place of what stands between its markers', async (t) => {
  t.equal(filled('a.md', document, new Map([['x', 'new\n']])), document.replace('old', 'new'))
  t.same(partsOf(document), ['x'])
  const parts = new Map([['x', '1'], ['y', '2']]) // prettier-ignore
  const two = filled('a.md', `${document}${document.replace(' x ', ' y ')}`, parts)
  t.ok(two.includes('1') && two.includes('2') && !two.includes('old'))
})

t.test('an unknown part and one without an end are named', async (t) => {
  t.throws(() => filled('a.md', document, new Map()), /a\.md:3: nothing generates x/)
  t.throws(
    () => filled('a.md', '<!-- generated: x -->\n', new Map([['x', '']])),
    /a\.md:1: x has no <!-- end -->/,
  )
  const twice = `<!-- generated: x -->\n${document}`
  t.throws(() => filled('a.md', twice, new Map([['x', '']])), /a\.md:1: x has no <!-- end -->/)
})

const found = (text: string) => deadlinesIn('a.ts', text)

t.test('a time-out is what follows its comment', async (t) => {
  const one = { cause: 'It hangs', effect: 'It is killed' }
  t.same(found('// @deadline It hangs | It is killed\nexport const aMs = 25 * 60_000 // so long'), [{ ...one, afterMs: 1_500_000, name: 'aMs' }]) // prettier-ignore
  t.same(found('/* @deadline It hangs | It is killed */\n/* Why. */\n#define A_MS (10 * 1000)'), [{ ...one, afterMs: 10_000, name: 'A_MS' }]) // prettier-ignore
  t.same(found('// @deadline(lastsMs) It hangs | It is killed\nconst p = { everyMs: 1, lastsMs: 5_000 } as const'), [{ ...one, afterMs: 5_000, name: 'p.lastsMs' }]) // prettier-ignore
  t.same(found('    # @deadline It hangs | It is killed\n    timeoutSeconds: 5'), [{ ...one, afterMs: 5_000, name: 'timeoutSeconds' }]) // prettier-ignore
  t.equal(found('// @deadline It hangs | It is killed\n// @deadline B | C\nconst aMs = 1_000').length, 2)
})

t.test('a comment that nothing with a value follows is an error', async (t) => {
  t.throws(() => deadlinesIn('a.ts', '// @deadline A | B\nfunction f() {}'), /a\.ts:1: no value follows/)
  t.throws(
    () => deadlinesIn('a.ts', '// @deadline(xMs) A | B\nconst p = { yMs: 1 }'),
    /a\.ts:1: no value follows/,
  )
})

t.test('spans are told as people say them', async (t) => {
  t.same([500, 10_000, 60_000, 120_000, 1_500_000].map(spanOf), ['0.5 s', '10 s', '60 s', '2 min', '25 min'])
})

t.test('metrics are read with their labels', async (t) => {
  const text = [
    '# HELP a_total Things, by kind.',
    '# TYPE a_total counter',
    'a_total{kind="x",of=""} 1',
    '# HELP b_seconds Times.',
    '# TYPE b_seconds histogram',
    'b_seconds_bucket{entry="pod",le="+Inf"} 0',
    '# HELP c Nothing yet.',
    '# TYPE c gauge',
  ]
  t.same(metricsIn(text.join('\n')), [
    { name: 'a_total{kind,of}', type: 'counter', help: 'Things, by kind.' },
    { name: 'b_seconds{entry}', type: 'histogram', help: 'Times.' },
    { name: 'c', type: 'gauge', help: 'Nothing yet.' },
  ])
})

t.test('tables, and lists where a table would be too wide', async (t) => {
  t.equal(table(['A', 'B'], [['1', 'x|y']]), '| A | B |\n| --- | --- |\n| 1 | x\\|y |')
  t.ok(pairs(['A', 'B'], [['1', 'short']]).startsWith('| A | B |'))
  const long = 'word '.repeat(40).trim()
  const items = pairs(['A', 'B'], [['1', long]])
  t.ok(items.startsWith('- 1: word') && items.split('\n').every((line) => line.length <= 116))
  t.equal(list([{ name: 'a-b', note: 'refused', text: 'It is.' }]), '- **`a-b`** (refused): It is.')
  t.equal(wrappedLines(`| ${long} |\n\n${long}`).split('\n').length, 4)
})

t.test('a sentence begins with a capital letter, unless it begins with a name, and has an end', async (t) => {
  t.equal(sentence('the pod ends'), 'The pod ends.')
  t.equal(sentence('hostNetwork is set'), 'hostNetwork is set.')
  t.equal(sentence('It ends.'), 'It ends.')
})

t.test('--check names what is stale, and make docs puts it right', async (t) => {
  const root = t.testdir({
    'README.md': '# A\n\n<!-- generated: annotations -->\n<!-- end -->\n',
    'ARCHITECTURE.md': '',
    'CHANGELOG.md': '',
    'CONTRIBUTING.md': '',
    docs: {},
  })
  const script = join(import.meta.dirname, '../../../scripts/docs.ts')
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8' })
  const stale =
    'docs/pictures/parts.svg is stale: run make docs\nmanifests/config.schema.json is stale: run make docs\nREADME.md is stale: run make docs\n'
  t.match(run('--check'), { status: 1, stderr: stale })
  t.match(run(), { status: 0 })
  t.match(run('--check'), { status: 0, stderr: '' })
  const readme = join(root, 'README.md')
  const fresh = readFileSync(readme, 'utf8')
  t.ok(fresh.includes('| `reprieve.dev/keep`'))
  writeFileSync(readme, fresh.replace('Whether the pod is protected.', 'Something else.'))
  t.match(run('--check'), { status: 1, stderr: 'README.md is stale: run make docs\n' })
  t.match(run(), { status: 0 })
  t.equal(readFileSync(readme, 'utf8'), fresh)
})
