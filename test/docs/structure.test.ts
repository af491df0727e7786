import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { codeLines, codes, documents, filesUnder, read, root, section, withoutBlocks } from './documents.ts'

/** What begins like a path of the repository; placeholders and globs are none. */
const ofRepository =
  /^(?:src|webhook|sidecar|launcher|certs|manifests|demo|bench|scripts|docs|test)\/[\w./-]*$/

t.test('the documents that people look for are there', async (t) => {
  const pages = ['usage', 'install', 'configuration', 'memory', 'notices', 'limits', 'security', 'operations']
  const wanted = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE']
  for (const path of [...wanted, ...[...pages, 'development'].map((page) => `docs/${page}.md`)])
    t.ok(existsSync(join(root, path)), path)
  for (const page of pages)
    t.ok(linksOf('README.md').includes(`docs/${page}.md`), `README.md leads to ${page}`)
})

t.test('what has to be read at once is short', async (t) => {
  for (const [path, most] of [
    ['README.md', 200],
    ['ARCHITECTURE.md', 250],
  ] as const)
    // prettier-ignore
    t.ok(read(path).split('\n').length <= most, `${path} has at most ${most} lines`)
})

t.test('the newest version of the changelog is that of the program and of its manifests', async (t) => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  const newest = /^## (\d+\.\d+\.\d+)/m.exec(read('CHANGELOG.md'))?.[1]
  t.equal(newest, version)
  t.ok(read('manifests/base/kustomization.yaml').includes(`newTag: ${version}`))
})

function linksOf(path: string): string[] {
  return [...withoutBlocks(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '')
}

t.test('every link leads somewhere', async (t) => {
  const broken = documents().flatMap((path) =>
    linksOf(path)
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
  return [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

t.test('every page of docs/ is linked from another document', async (t) => {
  const linked = new Set(
    documents().flatMap((from) =>
      linksOf(from).map((target) => join(dirname(from), target.split('#')[0] ?? '')),
    ),
  )
  const pages = filesUnder('docs').filter((path) => /^docs\/[a-z]+\.md$/.test(path))
  t.same(pages.filter((path) => !linked.has(path)), []) // prettier-ignore
})

t.test('every file and folder that is named exists', async (t) => {
  const missing = documents().flatMap((path) =>
    codes(read(path))
      .filter((name) => ofRepository.test(name) && !existsSync(join(root, name)))
      .map((name) => `${path} names ${name}`),
  )
  t.same(missing, [])
})

t.test('the map has every top folder', async (t) => {
  const map = codes(section(read('ARCHITECTURE.md'), '## Folders'))
  const folders = new Set(
    filesUnder('.')
      .filter((path) => path.includes('/') && !path.startsWith('.'))
      .map((path) => `${path.split('/')[0]}/`),
  )
  t.same([...folders].filter((folder) => !map.includes(folder)), []) // prettier-ignore
})

t.test('the map has every room of the sidecar', async (t) => {
  const map = codes(section(read('ARCHITECTURE.md'), '## Folders'))
  const files = filesUnder('sidecar').filter((path) => path.endsWith('.ts'))
  const rooms = new Set(files.map((path) => `${dirname(path).replace('sidecar/', '')}/`))
  rooms.delete('sidecar/')
  t.ok(rooms.size > 5)
  t.same([...rooms].filter((room) => !map.includes(room)), []) // prettier-ignore
})

t.test('every mode of the launcher is in its protocol', async (t) => {
  const modes = [...read('launcher/main.c').matchAll(/\{ "([a-z-]+)",/g)].map((match) => match[1])
  t.ok(modes.length > 5)
  const written = codes(read('launcher/PROTOCOL.md'))
  const named = new Set(written.map((name) => name.replace(/^launcher /, '').split(' ')[0]))
  t.same(modes.filter((mode) => !named.has(mode)), []) // prettier-ignore
})

/** Of the files in docs/decisions. */
function numberOf(path: string): number {
  return Number(/^docs\/decisions\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1])
}

t.test('decisions are numbered without gaps, and have context, decision and consequences', async (t) => {
  const decisions = filesUnder('docs/decisions').sort()
  t.ok(decisions.length > 20)
  t.same(
    decisions.map(numberOf),
    decisions.map((_, index) => index + 1),
  )
  for (const path of decisions) {
    t.ok(read(path).startsWith(`# ${numberOf(path)}. `), path)
    for (const part of ['Context', 'Decision', 'Consequences'])
      t.ok(read(path).includes(`**${part}.**`), `${path}: ${part}`)
  }
})

t.test('a decision that is cited by its number exists', async (t) => {
  const sources = [
    'src',
    'webhook',
    'sidecar',
    'launcher',
    'certs',
    'agent',
    'manifests',
    'scripts',
    'test',
    'docs',
  ]
  const paths = sources
    .flatMap((folder) => filesUnder(folder))
    .filter((path) => /\.(?:ts|c|h|yaml|md)$/.test(path))
  const known = new Set(filesUnder('docs/decisions').map(numberOf))
  const unknown = paths.flatMap((path) =>
    [...read(path).matchAll(/decisions\/(\d{4})\b/g)]
      .map((match) => Number(match[1]))
      .filter((number) => !known.has(number))
      .map((number) => `${path} cites decision ${number}`),
  )
  t.same(unknown, [])
})

t.test('no drawing in characters is wider than 80 columns', async (t) => {
  const wide = documents().flatMap((path) =>
    codeLines(read(path))
      .filter((line) => /[─│┌┐└┘├┤▶◀▼▲]/.test(line) && [...line].length > 80)
      .map((line) => `${path}: ${line}`),
  )
  t.same(wide, [])
})

t.test('no document names a path of somebody’s machine', async (t) => {
  const foreign = /(?<![\w.~}>-])\/(?:work|home|root|Users|tmp|var\/tmp|mnt)\/[^\s`]*|(?:\.\.\/)+shared\b/g
  t.ok(foreign.test('see /home/someone/notes'), 'such a path is recognized')
  t.same(
    documents().flatMap((path) => (read(path).match(foreign) ?? []).map((found) => `${path}: ${found}`)),
    [],
  )
})
