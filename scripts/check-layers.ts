/**
 * The directions of imports that ARCHITECTURE.md promises: `src/` imports nothing of the other parts, `webhook/` and `sidecar/` never
 * import each other, no part of the program imports a test or a script, and inside `sidecar/` each room imports only rooms below it.
 * No files import each other in a circle, not even for their types. The launcher's modes include each other nowhere
 * (launcher-includes.ts). Run by `make check`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, relative, resolve } from 'node:path'
import { includeProblems, sourcesOf as launcherSources } from './launcher-includes.ts'

/** Which top folders each may import from, besides itself. */
export const allowed: Record<string, string[]> = {
  src: [],
  webhook: ['src'],
  sidecar: ['src'],
  certs: ['src'],
  agent: ['src'],
}

/** Which rooms of `sidecar/` each may import from, besides itself. Its entry files, on the top floor, may import all of them. */
export const rooms: Record<string, string[]> = {
  proc: [],
  setup: ['proc'],
  'launcher-socket': ['proc'],
  lineage: ['setup', 'proc'],
  files: ['setup', 'proc'],
  volumes: ['files', 'setup', 'proc'],
  criu: ['files', 'setup', 'proc'],
  checkpoint: ['criu', 'volumes', 'files', 'lineage', 'setup', 'proc'],
  rights: ['criu', 'proc'],
  restore: ['rights', 'criu', 'volumes', 'files', 'lineage', 'setup', 'proc'],
  container: ['restore', 'checkpoint', 'lineage', 'launcher-socket', 'setup', 'proc'],
  triggers: [
    'container',
    'setup',
    'triggers/prestop',
    'triggers/manual',
    'triggers/interval',
    'triggers/memory',
    'triggers/node-memory',
    'triggers/notices',
    'triggers/clouds',
    'triggers/agent',
    'launcher-socket',
  ],
  'triggers/prestop': ['container', 'checkpoint', 'launcher-socket'],
  'triggers/manual': ['container', 'checkpoint'],
  'triggers/interval': ['container', 'proc'],
  'triggers/memory': ['container', 'checkpoint', 'proc'],
  'triggers/node-memory': ['container', 'checkpoint', 'proc'],
  'triggers/notices': ['container', 'checkpoint', 'proc'],
  'triggers/clouds': ['triggers/notices'],
  'triggers/agent': ['triggers/notices', 'triggers/memory', 'setup'],
  report: ['triggers/notices', 'container'],
}

/** What is on the top floor of `sidecar/`: entry files, which wire and do nothing else. */
export const entries = ['main.ts', 'restore-main.ts', 'sweep-main.ts']

/** A folder with more files than that is hard to find one's way in. */
const mostFiles = 20

const importPattern = /(?:\bfrom|\bimport|\bimport\()\s*['"](\.{1,2}\/[^'"\n]+)['"]/g

/** One line for each import that crosses a line it must not. */
export function layeringProblems(root: string): string[] {
  return Object.entries(allowed).flatMap(([layer, others]) =>
    sourcesOf(root, layer).flatMap((file) =>
      importsOf(root, file)
        .filter((target) => ![layer, ...others].includes(target.split('/')[0] ?? ''))
        .map(
          (target) =>
            `${file} imports ${target}: ${layer}/ may import ${[...others, 'itself'].join(' and ')} only`,
        ),
    ),
  )
}

/** One line for each import inside `sidecar/` that goes up, for each file in no room, and for each room that is too full. */
export function roomProblems(root: string): string[] {
  const files = sourcesOf(root, 'sidecar')
  const astray = files.filter((file) => roomOf(file) === undefined && !entries.includes(file.slice(8)))
  return [
    ...astray.map((file) => `${file} is in no room: sidecar/ itself holds ${entries.join(', ')} only`),
    ...files.flatMap((file) => wrongWays(root, file)),
    ...tooFull(files),
  ]
}

/** One line for each include of the launcher that goes from one mode to another, and for each folder that is too full. */
export function launcherProblems(root: string): string[] {
  return [...includeProblems(root), ...tooFull(launcherSources(root).map((file) => join('launcher', file)))]
}

function wrongWays(root: string, file: string): string[] {
  const room = roomOf(file)
  if (room === undefined) return []
  const below = rooms[room] ?? []
  return importsOf(root, file)
    .filter((target) => target.startsWith('sidecar/'))
    .filter((target) => ![room, ...below].includes(roomOf(target) ?? ''))
    .map((target) => `${file} imports ${target}: ${room}/ may import ${['itself', ...below].join(', ')} only`)
}

/** The room that a file lies in: the longest name that fits. */
function roomOf(file: string): string | undefined {
  const folder = dirname(relative('sidecar', file))
  return Object.keys(rooms)
    .filter((room) => folder === room || folder.startsWith(`${room}/`))
    .sort((one, other) => other.length - one.length)[0]
}

function tooFull(files: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
  return [...counts]
    .filter(([, count]) => count > mostFiles)
    .map(([folder, count]) => `${folder}/ holds ${count} files, at most ${mostFiles} are allowed`)
}

/** One line for each file on the top floor of `src/` that imports a folder of it: `src/store/` imports them. */
export function sharedProblems(root: string): string[] {
  return sourcesOf(root, 'src')
    .filter((file) => dirname(file) === 'src')
    .flatMap((file) =>
      importsOf(root, file)
        .filter((target) => dirname(target).startsWith('src/'))
        .map((target) => `${file} imports ${target}: the top floor of src/ imports none of its folders`),
    )
}

/** One line for each circle of files in the program, types included. */
export function circleProblems(root: string): string[] {
  const files = Object.keys(allowed).flatMap((layer) => sourcesOf(root, layer))
  const graph = new Map(files.map((file) => [file, importsOf(root, file)]))
  const done = new Set<string>()
  const problems: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    const at = path.indexOf(file)
    if (at >= 0) problems.push(`a circle of imports: ${[...path.slice(at), file].join(' → ')}`)
    if (at >= 0 || done.has(file)) return
    for (const target of graph.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  return problems
}

function sourcesOf(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}

function importsOf(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(importPattern)].map((match) =>
    normalize(relative(root, resolve(root, file, '..', match[1] ?? ''))),
  )
}

if (import.meta.main) {
  const root = process.cwd()
  const problems = [layeringProblems, sharedProblems, roomProblems, circleProblems, launcherProblems].flatMap(
    (problemsOf) => problemsOf(root),
  )
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
