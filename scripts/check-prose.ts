/**
 * The form of what people read: lines of at most 120 columns (160 in tables), sentences of at most 35 words, none of which begins with
 * "Who" or "What" as its subject. Sentences in code and tables are not counted. Run by `make check`.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const longestLine = 120
const longestTableLine = 160
const mostWords = 35

/** A stretch of running text: a paragraph or an item of a list, on one line. */
type Passage = { line: number; text: string }

/** One line for each problem of a document, `PATH:LINE: what is wrong`. */
export function proseProblems(path: string, markdown: string): string[] {
  const problems = [...columnProblems(markdown), ...passagesOf(markdown).flatMap(sentenceProblems)]
  return problems
    .sort((one, other) => one.line - other.line)
    .map(({ line, text }) => `${path}:${line}: ${text}`)
}

function columnProblems(markdown: string): Passage[] {
  return markdown.split('\n').flatMap((text, index) => {
    const limit = text.startsWith('|') ? longestTableLine : longestLine
    const columns = [...text].length
    // A link or an address that is too long by itself cannot be broken.
    if (columns <= limit || text.split(/\s/).some((word) => [...word].length > limit)) return []
    return [{ line: index + 1, text: `${columns} columns; at most ${limit} are allowed` }]
  })
}

function sentenceProblems({ line, text }: Passage): Passage[] {
  return sentencesOf(text).flatMap((sentence) => {
    const words = sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length
    const shown = `"${sentence.slice(0, 60)}${sentence.length > 60 ? '…' : ''}"`
    const found: Passage[] = []
    if (words > mostWords)
      found.push({ line, text: `a sentence of ${words} words; at most ${mostWords} are allowed: ${shown}` })
    if (/^(?:Who|What|Whoever|Whatever)\b/.test(sentence) && !sentence.endsWith('?'))
      found.push({ line, text: `a sentence that begins with its subject's "who" or "what": ${shown}` })
    return found
  })
}

/** Paragraphs and items, without code blocks, tables, headings and comments. */
export function passagesOf(markdown: string): Passage[] {
  const passages: Passage[] = []
  let current: Passage | undefined
  let isCode = false
  for (const [index, raw] of markdown.split('\n').entries()) {
    const text = raw.replace(/^(?:\s*>)+/, '').trim()
    const isFence = /^(?:```|~~~)/.test(text)
    if (isFence) isCode = !isCode
    const isItem = /^(?:[-*+]|\d+[.)])\s/.test(text)
    if (isFence || isCode || isItem || text === '' || /^(?:\||#|<)/.test(text)) current = undefined
    if (isFence || isCode || text === '' || /^(?:\||#|<)/.test(text)) continue
    if (current === undefined) passages.push((current = { line: index + 1, text }))
    else current.text += ` ${text}`
  }
  return passages.map(({ line, text }) => ({ line, text: plain(text) }))
}

/** Code and links are one word or their words; emphasis and the mark of an item are nothing. */
function plain(text: string): string {
  return text
    .replace(/^(?:[-*+]|\d+[.)])\s+/, '')
    .replaceAll(/`[^`]*`/g, 'code')
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/\*\*|__|(?<!\w)[_*]|[_*](?!\w)/g, '')
    .trim()
}

/** Ends of sentences are followed by a space and by what can begin one; `e.g.` and the like end none. */
export function sentencesOf(text: string): string[] {
  const marked = text.replaceAll(/\b(e\.g|i\.e|etc|vs|cf)\./gi, (short) => short.replaceAll('.', '·'))
  return marked
    .split(/(?<=[.!?]["')]?)\s+(?=["'(]?(?:\p{Lu}|code\b|\d))/u)
    .map((part) => part.replaceAll('·', '.'))
}

/** What the rules hold for. */
export function proseFiles(root: string): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  const top = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md']
  return [
    ...top,
    ...docs
      .filter((name) => name.endsWith('.md'))
      .map((name) => join('docs', name))
      .sort(),
  ]
}

if (import.meta.main) {
  const root = process.cwd()
  const problems = proseFiles(root).flatMap((path) =>
    proseProblems(path, readFileSync(join(root, path), 'utf8')),
  )
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
