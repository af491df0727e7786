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

/** The cells of every table's rows, without its head. */
export function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    .filter((_, index, all) => !isRule(all[index]) && !isRule(all[index + 1]))
}

function isRule(cells: string[] | undefined): boolean {
  return cells?.every((cell) => /^:?-+:?$/.test(cell)) ?? false
}

/** What stands between backticks, in order. */
export function codes(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')
}

/** The codes in the first cells of a section's tables. */
export function firstCodes(text: string): string[] {
  return rows(text).flatMap(([first = '']) => codes(first))
}
