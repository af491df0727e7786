/**
 * Reused for every patch of ordinary size: a buffer of its own for each, outside V8's heap, makes V8 collect garbage sooner
 * (docs/decisions/0015).
 */
const scratch = Buffer.allocUnsafeSlow(64 * 1024)
/** Of UTF-8, for each code unit of a text. */
const mostBytesPerUnit = 3

export function base64Of(text: string): string {
  return text.length * mostBytesPerUnit > scratch.length
    ? Buffer.from(text).toString('base64')
    : scratch.toString('base64', 0, scratch.write(text))
}
