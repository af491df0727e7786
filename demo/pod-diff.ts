/** What a mutation changed in a pod, as a person reads it: YAML lines that went and came, with a little around them. */
import { Document, isScalar, isSeq, visit } from 'yaml'

/** What is no longer goes on one line, and so does every list of plain values: twenty lines of capabilities say little. */
const flowColumns = 84
const context = 2

/** Lines that begin with `+`, `-` or a blank; `⋮` stands for what is the same. */
export function podDiff(before: unknown, after: unknown): string[] {
  const lines = compare(linesOf(before), linesOf(after))
  const shown = lines.map((_, index) =>
    lines.slice(Math.max(0, index - context), index + context + 1).some((line) => !line.startsWith(' ')),
  )
  return lines.flatMap((line, index) => {
    if (shown[index]) return [line]
    return index === 0 || shown[index - 1] ? [' ⋮'] : []
  })
}

function linesOf(value: unknown): string[] {
  const document = new Document(value, { aliasDuplicateObjects: false })
  visit(document, {
    Collection: (_, node) => {
      const isPlainList = isSeq(node) && node.items.every((item) => isScalar(item))
      node.flow = isPlainList || (node !== document.contents && JSON.stringify(node).length <= flowColumns)
    },
  })
  return document.toString({ lineWidth: 0 }).trimEnd().split('\n')
}

/** The longest common subsequence, by the textbook: pods have a few hundred lines. */
function compare(before: string[], after: string[]): string[] {
  const width = after.length + 1
  const common = new Uint16Array((before.length + 1) * width)
  const at = (row: number, column: number) => common[row * width + column] ?? 0
  for (let row = before.length - 1; row >= 0; row--)
    for (let column = after.length - 1; column >= 0; column--)
      common[row * width + column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
  const lines: string[] = []
  let [row, column] = [0, 0]
  while (row < before.length || column < after.length) {
    if (row < before.length && column < after.length && before[row] === after[column]) {
      lines.push(` ${before[row++]}`)
      column++
    } else if (column < after.length && (row === before.length || at(row, column + 1) > at(row + 1, column)))
      lines.push(`+${after[column++]}`)
    else if (row < before.length && (column === after.length || at(row + 1, column) >= at(row, column + 1)))
      lines.push(`-${before[row++]}`)
    else lines.push(`+${after[column++]}`)
  }
  return lines
}
