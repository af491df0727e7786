/**
 * Copies what the program needs at run time out of node_modules: the packages that the lock file does not mark as for
 * development, without the Node binaries, which the image gets on their own.
 *
 *   node scripts/production-modules.ts OUT [FOLDER...]         (run in the repository's root)
 *
 * With folders of sources, only what these import, and what that needs in its turn.
 */
import { cpSync, existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

type Entry = {
  dev?: boolean
  devOptional?: boolean
  optional?: boolean
  dependencies?: Record<string, string>
}
type Lock = { packages: Record<string, Entry> }

export function productionModules(lock: Lock): string[] {
  return Object.entries(lock.packages)
    .filter(
      ([path, entry]) =>
        path !== '' && entry.dev !== true && entry.devOptional !== true && entry.optional !== true,
    )
    .map(([path]) => path)
    .filter((path) => !path.replace(/^node_modules\//, '').includes('/node_modules/')) // comes with its parent
}

/** Of these, the ones that are imported, by the sources or by one another. */
export function reachedModules(lock: Lock, imported: Iterable<string>): string[] {
  const reached = new Set<string>()
  const reach = (name: string) => {
    const path = `node_modules/${name}`
    const entry = lock.packages[path]
    if (entry === undefined) throw new Error(`${name} is imported, and package-lock.json has no such package`)
    if (reached.has(path)) return
    reached.add(path)
    for (const needed of Object.keys(entry.dependencies ?? {})) reach(needed)
  }
  for (const name of imported) reach(name)
  return productionModules(lock).filter((path) => reached.has(path))
}

const importPattern = /^(?:import|export)\s(?!type\s)[^'"]*?from '((?:@[\w-]+\/)?[\w-]+)[^':]*'/gm

export function importedBy(root: string, folders: readonly string[]): Set<string> {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(root, folder, name)),
  )
  return new Set(
    files.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(importPattern)].map((match) => match[1] ?? ''),
    ),
  )
}

const wanted = (file: string) =>
  /^(?:licen[cs]e|notice|copying)\b/i.test(basename(file)) ||
  (!['test', 'docs', 'examples', 'benchmark', '.github'].includes(basename(file)) &&
    !/\.(md|map|d\.ts)$/.test(file))

export function copyModules(root: string, out: string, folders: readonly string[] = []): number {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock
  const paths =
    folders.length === 0 ? productionModules(lock) : reachedModules(lock, importedBy(root, folders))
  for (const path of paths) {
    if (!existsSync(join(root, path))) throw new Error(`${path} is not installed: run make setup`)
    cpSync(join(root, path), join(out, path), { recursive: true, filter: wanted })
  }
  return paths.length
}

if (import.meta.main) {
  const [out, ...folders] = process.argv.slice(2)
  if (out === undefined) throw new Error('usage: production-modules.ts OUT [FOLDER...]')
  process.stdout.write(`${copyModules(process.cwd(), out, folders)} packages copied\n`)
}
