/** Tables and lists in Markdown, as prettier leaves them. */
const mostColumns = 116
const mostTableColumns = 160

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(line).join('\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`
}

/** A table of two columns, or a list where a row of the table would be too wide to read. */
export function pairs(head: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  const widths = [0, 1].map((index) => Math.max(...rows.map((row) => [...(row[index] ?? '')].length)))
  const columns = widths.reduce((sum, width) => sum + width + 3, 1)
  if (columns <= mostTableColumns) return table(head, rows)
  return rows.map(([name, text]) => wrapped(`${name}: ${text}`, '- ', '  ')).join('\n')
}

/** One item for each reason: `- **name** (note): meaning. Remedy.`, wrapped. */
export function list(items: readonly { name: string; note?: string; text: string }[]): string {
  return items
    .map(({ name, note, text }) => {
      const head = `**\`${name}\`**${note === undefined ? '' : ` (${note})`}:`
      return wrapped(`${head} ${text}`, '- ', '  ')
    })
    .join('\n')
}

export function code(text: string): string {
  return `\`${text}\``
}

/** A sentence of what is written as part of one. */
export function sentence(text: string): string {
  const first = /^[a-z]+\b(?![A-Z.])/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text
  return /[.!?]$/.test(first) ? first : `${first}.`
}

/** Paragraphs and items of one line each, wrapped; tables are left alone. */
export function wrappedLines(text: string): string {
  return text
    .split('\n')
    .map((one) => {
      if (one === '' || one.startsWith('|')) return one
      return one.startsWith('- ') ? wrapped(one.slice(2), '- ', '  ') : wrapped(one, '', '')
    })
    .join('\n')
}

/** Code between backticks is never broken. */
export function wrapped(text: string, first: string, others: string): string {
  const words = text.match(/(?:`[^`]*`|\S)+/g) ?? []
  const lines = [first.trimEnd()]
  for (const word of words) {
    const last = lines.at(-1) ?? ''
    if (last === '') lines[lines.length - 1] = word
    else if (last.length + 1 + word.length > mostColumns) lines.push(`${others}${word}`)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}
