/**
 * Go's path/filepath.Match, which the kubelet matches each part of a registry's host with: `*`, `?`, `[a-z]`, `[^a-z]`
 * and `\`. By hand, since a pattern comes from a pod's owner and a regular expression made of it could be made to run for ever.
 */
type Piece = { star: true } | { star: false; fits: (character: string) => boolean }

/** A pattern that is not well formed matches nothing. */
export function globMatches(pattern: string, text: string): boolean {
  const pieces = piecesOf(pattern)
  if (pieces === undefined) return false
  let piece = 0
  let at = 0
  // Where the last star was, and how far it has been stretched: an earlier one never needs to be tried again.
  let star = -1
  let stretched = 0
  while (at < text.length) {
    const current = pieces[piece]
    if (current?.star === true) {
      star = piece++
      stretched = at
    } else if (current?.star === false && current.fits(text[at] ?? '')) {
      piece++
      at++
    } else if (star >= 0) {
      piece = star + 1
      at = ++stretched
    } else return false
  }
  return pieces.slice(piece).every((left) => left.star)
}

function piecesOf(pattern: string): Piece[] | undefined {
  const pieces: Piece[] = []
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? ''
    if (character === '*') pieces.push({ star: true })
    else if (character === '?') pieces.push({ star: false, fits: () => true })
    else if (character === '[') {
      const end = pattern.indexOf(']', at + 2)
      if (end < 0) return undefined
      pieces.push({ star: false, fits: setOf(pattern.slice(at + 1, end)) })
      at = end
    } else {
      const literal = character === '\\' ? pattern[++at] : character
      if (literal === undefined) return undefined
      pieces.push({ star: false, fits: (one) => one === literal })
    }
  }
  return pieces
}

function setOf(body: string): (character: string) => boolean {
  const negated = body.startsWith('^')
  const members = negated ? body.slice(1) : body
  const ranges: [string, string][] = []
  for (let at = 0; at < members.length; at++) {
    const low = members[at] ?? ''
    const isRange = members[at + 1] === '-' && at + 2 < members.length
    ranges.push([low, isRange ? (members[at + 2] ?? '') : low])
    if (isRange) at += 2
  }
  return (character) => ranges.some(([low, high]) => character >= low && character <= high) !== negated
}
