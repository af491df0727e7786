/**
 * The time-outs of the program, found where they are defined. A comment beside a constant says what they are for:
 *
 *     // @deadline(lastsMs) WHAT FAILS | WHAT IS DONE THEN
 *     const patience = { everyMs: 2_000, lastsMs: 10_000 } as const
 *
 * The part in parentheses names a field; several such comments may precede one constant. The next line that is no comment has the value: a
 * constant or `#define` in milliseconds, or a key of a manifest in seconds.
 */
export type Deadline = { cause: string; effect: string; afterMs: number; name: string }

const tag = /^\s*(?:\/\/|\/\*|#) @deadline(?:\((\w+)\))? (.+?) \| (.+?)(?: \*\/)?$/
const definition = /(?:const |#define )(\w+)(?: = |\s+)(.*)|^\s*(\w+): (.*)/

/** @throws where a comment is followed by nothing that has a value */
export function deadlinesIn(path: string, text: string): Deadline[] {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const [, field, cause, effect] = tag.exec(line) ?? []
    if (cause === undefined || effect === undefined) return []
    const next = lines.slice(index + 1).find((other) => !/^\s*(?:\/\/|\/\*|#(?!define)|\*)/.test(other)) ?? ''
    const [, constant, value = '', key, seconds] = definition.exec(next) ?? []
    const name = constant ?? key ?? ''
    const written = field === undefined ? value : (new RegExp(`\\b${field}: ([^,}]+)`).exec(value)?.[1] ?? '')
    const afterMs = seconds === undefined ? product(written) : Number(seconds) * 1_000
    if (!(afterMs > 0)) throw new Error(`${path}:${index + 1}: no value follows the comment: ${next.trim()}`)
    return [{ cause, effect, afterMs, name: field === undefined ? name : `${name}.${field}` }]
  })
}

/** `(30 * 60 * 1000)`, `25 * 60_000`, `600_000`. */
function product(expression: string): number {
  const factors = expression
    .replace(/\/[*/].*/, '')
    .replaceAll(/[()_\s]/g, '')
    .split('*')
  return factors.map(Number).reduce((result, factor) => result * factor, 1)
}

/** `10 s`, `25 min`. */
export function spanOf(ms: number): string {
  return ms >= 120_000 && ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1_000} s`
}
