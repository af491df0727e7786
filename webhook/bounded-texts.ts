/** Bounds the number and the length of a pod's problems, which go into answers, logs and terminals. */
const mostTexts = 20
const longestText = 500

export function bounded(texts: readonly string[]): string[] {
  const told = texts.slice(0, mostTexts).map((text) => {
    // Not within a pair of surrogates.
    return text.length > longestText ? `${text.slice(0, longestText - 3).toWellFormed()}...` : text
  })
  return texts.length > mostTexts ? [...told, `and ${texts.length - mostTexts} more`] : told
}
