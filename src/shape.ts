/**
 * Checks of untrusted JSON against a shape, every problem collected. Shapes are strict: a field that is not named is
 * a problem too, which is also what keeps `__proto__` and the like out.
 */
export type Check = (value: unknown, where: string, report: (problem: string) => void) => void

/** Every problem of a value, in words; empty when it fits. */
export function problemsOf(check: Check, value: unknown, where = ''): string[] {
  const problems: string[] = []
  check(value, where, (problem) => problems.push(problem))
  return problems
}

/** At most `shown` problems in one line, so that hostile input cannot fill a log. */
export function summarize(problems: readonly string[], shown = 20): string {
  const rest = problems.length - shown
  return problems.slice(0, shown).join('; ') + (rest > 0 ? `; and ${rest} more` : '')
}

export function object(fields: Record<string, Check>, optional: readonly string[] = []): Check {
  const checks = new Map(Object.entries(fields))
  return (value, where, report) => {
    if (!isRecord(value)) return report(`${where || 'the whole'} must be an object`)
    for (const key of Object.keys(value)) {
      if (!checks.has(key)) report(`${at(where, quote(key))} is not a field of this version`)
    }
    for (const [key, check] of checks) {
      if (Object.hasOwn(value, key)) check(value[key], at(where, key), report)
      else if (!optional.includes(key)) report(`${at(where, key)} is missing`)
    }
  }
}

/** An object used as a map: both its keys and its values are checked. */
export function mapOf(key: Check, entry: Check, most: number): Check {
  return (value, where, report) => {
    if (!isRecord(value)) return report(`${where} must be an object`)
    const entries = Object.entries(value)
    if (entries.length > most)
      return report(`${where} must have at most ${most} entries, not ${entries.length}`)
    for (const [name, content] of entries) {
      key(name, `the key ${quote(name)} of ${where}`, report)
      entry(content, at(where, quote(name)), report)
    }
  }
}

export function list(item: Check, most: number): Check {
  return (value, where, report) => {
    if (!Array.isArray(value)) return report(`${where} must be a list`)
    if (value.length > most) return report(`${where} must have at most ${most} entries, not ${value.length}`)
    for (const [index, entry] of value.entries()) item(entry, `${where}[${index}]`, report)
  }
}

/** A well-formed text of at most `mostBytes` in UTF-8 for which `holds`; `what` says what it must be. */
export function text(what: string, mostBytes: number, holds: (value: string) => boolean): Check {
  return (value, where, report) => {
    const fits =
      typeof value === 'string' &&
      value.length <= mostBytes &&
      Buffer.byteLength(value) <= mostBytes &&
      value.isWellFormed() &&
      holds(value)
    if (!fits) report(`${where} must be ${what}${typeof value === 'string' ? `, not ${quote(value)}` : ''}`)
  }
}

export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): Check {
  return (value, where, report) => {
    const fits = Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
    if (!fits) report(`${where} must be a whole number from ${least} to ${most}`)
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function at(where: string, key: string): string {
  return where === '' ? key : `${where}.${key}`
}

function quote(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value)
}
