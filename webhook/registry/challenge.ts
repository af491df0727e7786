/**
 * The challenge of a server that answers 401: the header WWW-Authenticate, which may hold several challenges, in one line or, joined
 * by Node, in several. Quoted texts may hold commas and equals signs.
 * https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export type Challenge = {
  /** In small letters: `basic`, `bearer`. */
  scheme: string
  parameters: ReadonlyMap<string, string>
}

const separators = /[\s,]*/y
const token = /[\w!#$%&'*+.^`|~-]+/y
const assignment = /\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))/y

/** A part that cannot be read ends the list: an answer that is cut short still has its first challenges. */
export function parseChallenges(header: string): Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(header)
    if (match !== null) at = pattern.lastIndex
    return match
  }
  for (;;) {
    take(separators)
    const name = take(token)?.[0]?.toLowerCase()
    if (name === undefined) return found
    const value = take(assignment)
    if (value === null) found.push({ scheme: name, parameters: new Map() })
    else found.at(-1)?.parameters.set(name, (value[1] ?? value[2] ?? '').replaceAll(/\\(.)/g, '$1'))
  }
}
