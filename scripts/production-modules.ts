/**
 * Copies what the program needs at run time out of node_modules: the packages that the lock file does not mark as for
 * development, without the Node binaries, which the image gets on their own.
 *
 *   node scripts/production-modules.ts OUT         (run in the repository's root)
 */
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

type Lock = { packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }> }

export function productionModules(lock: Lock): string[] {
  return Object.entries(lock.packages)
    .filter(
      ([path, entry]) =>
        path !== '' && entry.dev !== true && entry.devOptional !== true && entry.optional !== true,
    )
    .map(([path]) => path)
    .filter((path) => !path.replace(/^node_modules\//, '').includes('/node_modules/')) // comes with its parent
}

const wanted = (file: string) =>
  !['test', 'docs', 'examples', 'benchmark', '.github'].includes(basename(file)) &&
  !/\.(md|map|d\.ts)$/.test(file)

export function copyModules(root: string, out: string): number {
  const paths = productionModules(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock)
  for (const path of paths) {
    if (!existsSync(join(root, path))) throw new Error(`${path} is not installed: run make setup`)
    cpSync(join(root, path), join(out, path), { recursive: true, filter: wanted })
  }
  return paths.length
}

if (import.meta.main) {
  const [out] = process.argv.slice(2)
  if (out === undefined) throw new Error('usage: production-modules.ts OUT')
  process.stdout.write(`${copyModules(process.cwd(), out)} packages copied\n`)
}
