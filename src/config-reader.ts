/**
 * Reads a parsed document field by field and collects every problem with its path, so that whoever wrote the file
 * mends it once. A field that has a problem reads as its fallback; the caller throws if there was any problem.
 */
export class ConfigReader {
  readonly problems: string[]
  readonly #fields: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #asked = new Set<string>()

  constructor(value: unknown, path = '', problems: string[] = []) {
    this.problems = problems
    this.#path = path
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject) problems.push(`${path === '' ? 'the file' : path} must be a mapping`)
    this.#fields = isObject ? (value as Record<string, unknown>) : {}
  }

  /** @param fallback undefined: the field is required */
  text(name: string, fallback?: string, form?: { pattern: RegExp; accepted: string }): string {
    return this.#read<string>(name, fallback, '', (value) => {
      if (typeof value !== 'string' || value === '') return { problem: form?.accepted ?? 'a text' }
      return form === undefined || form.pattern.test(value) ? { value } : { problem: form.accepted }
    })
  }

  oneOf<T extends string>(name: string, fallback: T, accepted: readonly T[]): T {
    return this.#read<T>(name, fallback, fallback, (value) => {
      const found = accepted.find((one) => one === value)
      return found === undefined ? { problem: `one of ${accepted.join(', ')}` } : { value: found }
    })
  }

  whole(name: string, fallback: number, range: { from: number; to: number }): number {
    return this.#read<number>(name, fallback, fallback, (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= range.from && value <= range.to
        ? { value }
        : { problem: `a whole number from ${range.from} to ${range.to}` },
    )
  }

  /** `parse` gives undefined for what it does not accept. */
  parsed<T>(name: string, fallback: T, accepted: string, parse: (text: string) => T | undefined): T {
    return this.#read<T>(name, fallback, fallback, (value) => {
      const parsed = typeof value === 'string' ? parse(value) : undefined
      return parsed === undefined ? { problem: accepted } : { value: parsed }
    })
  }

  listOf<T extends string>(name: string, fallback: readonly T[], accepted: readonly T[]): T[] {
    return this.#read<T[]>(name, [...fallback], [], (value) => {
      const known = Array.isArray(value) ? accepted.filter((one) => value.includes(one)) : []
      return Array.isArray(value) && known.length === value.length
        ? { value: known }
        : { problem: `a list of any of ${accepted.join(', ')}` }
    })
  }

  /** A list of texts; absent reads as an empty one. */
  texts(name: string, form: { pattern: RegExp; accepted: string }): string[] {
    return this.#read<string[]>(name, [], [], (value) =>
      Array.isArray(value) &&
      value.every((one): one is string => typeof one === 'string' && form.pattern.test(one))
        ? { value }
        : { problem: `a list of ${form.accepted}` },
    )
  }

  /** A nested mapping; absent reads as an empty one. */
  section(name: string): ConfigReader {
    this.#asked.add(name)
    return new ConfigReader(this.#own(name) ?? {}, this.#join(name), this.problems)
  }

  /** The names of this mapping's fields, for mappings whose keys the administrator chooses. */
  names(): string[] {
    return Object.keys(this.#fields)
  }

  has(name: string): boolean {
    return this.#own(name) !== undefined && this.#own(name) !== null
  }

  problem(name: string, what: string): void {
    this.problems.push(`${this.#join(name)} ${what}`)
  }

  /** Call last: whatever was never asked for is a misspelling, or meant for another version. */
  refuseOthers(): void {
    for (const name of this.names()) if (!this.#asked.has(name)) this.problem(name, 'is not a known field')
  }

  #read<T>(
    name: string,
    fallback: T | undefined,
    placeholder: T,
    check: (value: unknown) => { value: T } | { problem: string },
  ): T {
    this.#asked.add(name)
    if (!this.has(name)) {
      if (fallback === undefined) this.problem(name, 'is required')
      return fallback ?? placeholder
    }
    const result = check(this.#own(name))
    if ('value' in result) return result.value
    this.problem(name, `must be ${result.problem}`)
    return fallback ?? placeholder
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
  }

  #join(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }
}
