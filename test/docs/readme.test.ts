import t from 'tap'
import { annotationNames } from '../../src/annotations.ts'
import { configKeys } from '../../scripts/config-docs.ts'
import { optionalCapabilities } from '../../src/config-schema.ts'
import { parseDurationMs } from '../../src/duration.ts'
import { triggerNames } from '../../src/pod-plan.ts'
import { codes, filesUnder, firstCodes, read, rows, section } from './documents.ts'

const readme = read('README.md')
const sources = [...filesUnder('sidecar'), ...filesUnder('src'), ...filesUnder('webhook')]
  .filter((path) => path.endsWith('.ts'))
  .map(read)
  .join('\n')

t.test('every annotation is in the table, and no other', async (t) => {
  t.same(firstCodes(section(readme, '## For the owner')).sort(), [...annotationNames].sort())
})

t.test('the triggers are those of the program', async (t) => {
  const row = rows(readme).find(([name]) => name?.includes('reprieve.dev/triggers'))
  t.same(codes(row?.[1] ?? ''), [triggerNames.join(',')])
})

t.test('every key of config.yaml is in the table, and no other', async (t) => {
  const told = firstCodes(section(readme, '### The keys of config.yaml'))
  // The README names both lists of resources in one row.
  const keys = configKeys().map(({ key }) => key.replace(/\.resources\.\w+$/, '.resources'))
  t.same(told.sort(), [...new Set(keys)].sort())
  for (const capability of optionalCapabilities) t.match(readme, capability)
})

t.test('the time-outs are those of the program', async (t) => {
  const table = rows(section(readme, '## What is promised when things break'))
  t.ok(table.length > 10)
  for (const [, promise = '', constant = ''] of table) {
    const [name = ''] = codes(constant)
    const file = / in (\S+)$/.exec(constant)?.[1] ?? ''
    if (name.includes(': ')) {
      t.match(read(file), name, `${file} says ${name}`)
      continue
    }
    const ms = constantOf(read(file), name)
    const spans = [...promise.matchAll(/\b(\d+) (s|min)\b/g)].map(([, count, unit]) =>
      parseDurationMs(`${count}${unit === 'min' ? 'm' : 's'}`),
    )
    t.ok(spans.includes(ms), `${name} in ${file} is ${ms} ms; the README says: ${promise}`)
  }
})

/** The value of `const name = 5_000`, of `#define NAME (30 * 60 * 1000)`, or of the field after the dot of `name.field`. */
function constantOf(source: string, name: string): number {
  const [object = '', field] = name.split('.')
  const definition = new RegExp(`(?:const ${object} = |#define ${object} )(.*)`).exec(source)?.[1] ?? ''
  const expression =
    field === undefined ? definition : (new RegExp(`\\b${field}: ([^,}]+)`).exec(definition)?.[1] ?? '')
  const factors = expression
    .replace(/\/[*/].*/, '')
    .replaceAll(/[()_\s]/g, '')
    .split('*')
    .map(Number)
  return factors.reduce((product, factor) => product * factor, 1)
}

t.test('the log lines and paths that it names are those of the program', async (t) => {
  for (const name of codes(section(readme, '## Where the reasons are seen')))
    if (/^[a-z]+( [a-z:]+)+$/.test(name)) t.ok(sources.includes(`'${name}'`), name)
    else if (name.startsWith('/')) t.ok(sources.includes(`'${name}'`), name)
})
