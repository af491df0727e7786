/** The documents, as the tests of test/docs read them: texts, tables, and what stands between backticks. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** Not ours, or made. */
const elsewhere = new Set(['node_modules', 'build', '.tap', '.git', '.shared', 'shared'])

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** Paths of all files under a folder of the repository, relative to its root. */
export function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '.' ? entry.name : `${folder}/${entry.name}`
    if (elsewhere.has(entry.name)) return []
    return entry.isDirectory() ? filesUnder(path) : [path]
  })
}

export function documents(): string[] {
  return filesUnder('.').filter((path) => path.endsWith('.md') && !path.startsWith('test/fixtures/'))
}

/** The part of a document under the heading that begins so, down to the next heading of its rank or a higher one. */
export function section(text: string, heading: string): string {
  const lines = text.split('\n')
  const from = lines.findIndex((line) => line.startsWith(heading))
  if (from < 0) throw new Error(`there is no heading ${heading}`)
  const rank = heading.indexOf(' ')
  const length = lines.slice(from + 1).findIndex((line) => /^#+ /.test(line) && line.indexOf(' ') <= rank)
  return lines.slice(from, length < 0 ? undefined : from + 1 + length).join('\n')
}

/** What stands between backticks, in order; in text, not in blocks of code. */
export function codes(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')
}

/** The lines of blocks of code, without their fences. */
export function codeLines(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```.*\n([^]*?)^ *```$/gm)]
  return blocks.flatMap((match) => (match[1] ?? '').split('\n'))
}

export function withoutBlocks(text: string): string {
  return text.replaceAll(/^ *```.*\n[^]*?^ *```$/gm, '')
}
