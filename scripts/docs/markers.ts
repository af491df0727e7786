/** Generated parts of a document: what stands between `<!-- generated: NAME -->` and `<!-- end -->`. Pure. */
export const begin = /^<!-- generated: ([a-z-]+) -->$/
export const end = '<!-- end -->'

/** A part's text by its name. */
export type Parts = ReadonlyMap<string, string>

/** @throws where a name is unknown or a part has no end */
export function filled(path: string, document: string, parts: Parts): string {
  const lines = document.split('\n')
  const result: string[] = []
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? ''
    result.push(line)
    const name = begin.exec(line)?.[1]
    if (name === undefined) continue
    const part = parts.get(name)
    const last = lines.indexOf(end, index)
    const next = lines.findIndex((other, at) => at > index && begin.test(other))
    if (part === undefined) throw new Error(`${path}:${index + 1}: nothing generates ${name}`)
    if (last < 0 || (next >= 0 && next < last)) throw new Error(`${path}:${index + 1}: ${name} has no ${end}`)
    result.push('', part.trim(), '', end)
    index = last
  }
  return result.join('\n')
}

/** The names of a document's generated parts. */
export function partsOf(document: string): string[] {
  return document.split('\n').flatMap((line) => begin.exec(line)?.[1] ?? [])
}
