/** Tells the story: plain lines, coloured where a person sees them on a terminal. */
import type { WriteStream } from 'node:tty'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'cyan'

const codes: Record<Style, string> = { bold: '1', dim: '2', red: '31', green: '32', cyan: '36' }
const columns = 110

export class Story {
  readonly #out: NodeJS.WritableStream
  readonly #coloured: boolean
  readonly #began = performance.now()
  #chapter = 0

  constructor(out: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY'>>) {
    this.#out = out
    this.#coloured = out.isTTY === true
  }

  headline(text: string): void {
    for (const line of wrapped(text, columns)) this.#write(this.#style('bold', line))
  }

  chapter(title: string): void {
    const seconds = `${((performance.now() - this.#began) / 1000).toFixed(1)} s`
    const heading = `${++this.#chapter}. ${title}`
    this.#write('')
    this.#write(this.#style('bold', heading) + this.#style('dim', seconds.padStart(columns - heading.length)))
  }

  say(text: string): void {
    for (const line of wrapped(text, columns - 3)) this.#write(`   ${line}`)
  }

  /** A line that somebody else has written. */
  quote(who: string, text: string): void {
    this.#write(`   ${this.#style('cyan', `${who} |`)} ${text}`)
  }

  gap(): void {
    this.#write(this.#style('dim', '   ...'))
  }

  diff(lines: readonly string[]): void {
    for (const line of lines) {
      const cut = line.length > columns - 3 ? `${line.slice(0, columns - 4)}…` : line
      const style = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim'
      this.#write(`   ${this.#style(style, cut)}`)
    }
  }

  /** Rows of name, measured value and what it means. */
  table(rows: readonly (readonly [name: string, value: string, meaning: string])[]): void {
    const widths = [0, 1].map((index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)))
    for (const [name, value, meaning] of rows)
      this.#write(
        `   ${name.padEnd(widths[0] ?? 0)}  ${value.padStart(widths[1] ?? 0)}  ${this.#style('dim', meaning)}`,
      )
  }

  /** The last word, for programs. */
  end(result: object): void {
    this.#write(`\n${JSON.stringify(result)}`)
  }

  #style(style: Style, text: string): string {
    return this.#coloured ? `\u001B[${codes[style]}m${text}\u001B[0m` : text
  }

  #write(line: string): void {
    this.#out.write(`${line}\n`)
  }
}

function wrapped(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}

export function inWords(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`
}
