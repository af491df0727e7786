/**
 * Makes plain JavaScript of the TypeScript sources, for the image: stripping types at run time costs 17 MB of resident
 * memory, and a sidecar must be small. Types become blanks, so line numbers stay; imports of ./x.ts become ./x.js.
 *
 *   node scripts/strip-types.ts OUT FOLDER...      (run in the repository's root)
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'

export function toJavaScript(source: string): string {
  return stripTypeScriptTypes(source).replace(
    /((?:\bfrom|\bimport|\bimport\()\s*['"]\.{1,2}\/[^'"\n]*)\.ts(['"])/g,
    (_, before: string, quote: string) => `${before}.js${quote}`,
  )
}

export function stripFolders(root: string, folders: string[], out: string): number {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => join(folder, name)),
  )
  for (const file of files) {
    const target = join(out, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, toJavaScript(readFileSync(join(root, file), 'utf8')))
  }
  return files.length
}

if (import.meta.main) {
  process.removeAllListeners('warning') // stripTypeScriptTypes says once that it is new
  const [out, ...folders] = process.argv.slice(2)
  if (out === undefined || folders.length === 0) throw new Error('usage: strip-types.ts OUT FOLDER...')
  process.stdout.write(`${stripFolders(process.cwd(), folders, out)} files stripped\n`)
}
