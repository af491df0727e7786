import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { codes, documents, filesUnder, read, root, section } from './documents.ts'

/** What begins like a path of the repository; placeholders and globs are none. */
const ofRepository = /^(?:src|webhook|sidecar|certs|manifests|demo|bench|scripts|docs|test)\/[\w./-]*$/

t.test('the documents that people look for are there', async (t) => {
  for (const path of [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'LICENSE',
    'docs/on-call.md',
  ])
    t.ok(existsSync(join(root, path)), path)
  t.match(read('CHANGELOG.md'), `## ${(JSON.parse(read('package.json')) as { version: string }).version}`)
  t.match(read('LICENSE'), /Apache License\s+Version 2\.0/)
})

t.test('every link leads somewhere', async (t) => {
  const broken = documents().flatMap((path) =>
    [...read(path).matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^https?:/.test(target) && !leadsSomewhere(path, target))
      .map((target) => `${path} → ${target}`),
  )
  t.same(broken, [])
})

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from : join(dirname(from), path)
  if (!existsSync(join(root, file))) return false
  return anchor === undefined || anchorsOf(read(file)).includes(anchor)
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

t.test('every file and folder that is named exists', async (t) => {
  const missing = documents().flatMap((path) =>
    codes(read(path))
      .filter((name) => ofRepository.test(name) && !existsSync(join(root, name)))
      // Where heavy repetition belongs; a folder that is made with its first test.
      .filter((name) => name !== 'test/soak/')
      .map((name) => `${path} names ${name}`),
  )
  t.same(missing, [])
})

t.test('the map has every folder of the program, and those of the tests that mirror none', async (t) => {
  const map = codes(section(read('ARCHITECTURE.md'), '## Folders'))
  const program = ['src', 'webhook', 'sidecar', 'certs', 'demo', 'bench', 'scripts', 'docs', 'manifests']
  const folders = new Set(program.flatMap((top) => filesUnder(top)).map((path) => `${dirname(path)}/`))
  for (const folder of [
    'test/harness/',
    'test/images/',
    'test/programs/',
    'test/e2e/',
    'test/vm/',
    'test/fixtures/',
  ])
    folders.add(folder)
  t.same(
    [...folders].filter((folder) => !map.includes(folder)),
    [],
  )
})

t.test('every mode of the launcher is in its protocol', async (t) => {
  const modes = [...read('launcher/main.c').matchAll(/\{ "([a-z-]+)",/g)].map((match) => match[1])
  t.ok(modes.length > 5)
  const protocol = read('launcher/PROTOCOL.md')
  for (const mode of modes) t.match(protocol, new RegExp(`\`(?:launcher )?${mode}\\b`), `${mode}`)
})

t.test(
  'decisions are numbered, each by a number of its own, and have context, decision and consequences',
  async (t) => {
    const decisions = filesUnder('docs/decisions').sort()
    t.ok(decisions.length > 0)
    const numbers = decisions.map((path) => Number(/\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1]))
    t.equal(new Set(numbers).size, decisions.length)
    for (const [index, path] of decisions.entries()) {
      t.match(read(path), new RegExp(`^# ${numbers[index]}\\. `), path)
      for (const part of ['Context', 'Decision', 'Consequences'])
        t.match(read(path), `**${part}.**`, `${path}: ${part}`)
    }
  },
)

t.test('no document names a path of somebody’s machine', async (t) => {
  const foreign = /(?<![\w.~}>-])\/(?:work|home|root|Users|tmp|var\/tmp|mnt)\/[^\s`]*|(?:\.\.\/)+shared\b/g
  t.ok(foreign.test('see /home/someone/notes'), 'such a path is recognized')
  t.same(
    documents().flatMap((path) => (read(path).match(foreign) ?? []).map((found) => `${path}: ${found}`)),
    [],
  )
})
