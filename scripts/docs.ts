/**
 * Writes the generated parts of the documents and their pictures (`make docs`). With --check it writes nothing, names what is stale, and fails
 * (`make check`).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { proseFiles } from './check-prose.ts'
import { schemaText } from './config-docs.ts'
import { filled, partsOf } from './docs/markers.ts'
import { parts } from './docs/parts.ts'
import { pictureOfParts } from './docs/picture.ts'

/** What the files should be, by path. */
export async function generated(root: string): Promise<Map<string, string>> {
  const files = new Map([
    ['docs/pictures/parts.svg', pictureOfParts()],
    ['manifests/config.schema.json', schemaText()],
  ])
  const known = await parts(root)
  for (const path of proseFiles(root)) {
    const text = readFileSync(join(root, path), 'utf8')
    if (partsOf(text).length === 0) continue
    const options = await resolveConfig(join(root, path))
    files.set(path, await format(filled(path, text, known), { ...options, filepath: path }))
  }
  return files
}

function current(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return ''
    throw error
  }
}

if (import.meta.main) {
  const root = process.cwd()
  const isCheck = process.argv.includes('--check')
  for (const [path, text] of await generated(root)) {
    if (current(join(root, path)) === text) continue
    if (isCheck) {
      process.stderr.write(`${path} is stale: run make docs\n`)
      process.exitCode = 1
    } else {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
  }
}
