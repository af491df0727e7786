/**
 * The layering that DESIGN promises: `src/` imports nothing of the other parts, `webhook/` and `sidecar/` never import
 * each other, and no part of the program imports a test or a script. Run by `make check`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/** Which top folders each may import from, besides itself. */
export const allowed: Record<string, string[]> = {
  src: [],
  webhook: ['src'],
  sidecar: ['src'],
  certs: ['src'],
}

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

function sourcesOf(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}

function importsOf(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(importPattern)].map((match) =>
    relative(root, resolve(root, file, '..', match[1] ?? '')),
  )
}

if (import.meta.main) {
  const problems = layeringProblems(process.cwd())
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
