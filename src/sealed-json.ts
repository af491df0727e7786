/**
 * JSON that notices its own damage: `{"content":<canonical JSON>,"sha256":"<of the content's bytes>"}\n`. The form
 * around the content is compared byte for byte and the content by its hash, so no flipped bit goes unseen. It is
 * still plain JSON, for people (`jq .content`). The hash guards against accidents, not against forgers.
 */
import { createHash } from 'node:crypto'

const before = '{"content":'
const between = ',"sha256":"'
const after = '"}\n'
const tailBytes = between.length + 64 + after.length

export function sealJson(content: unknown): Buffer {
  const text = canonicalJson(content)
  return Buffer.from(`${before}${text}${between}${sha256(text)}${after}`)
}

/** @throws Error saying what is wrong with the bytes */
export function openSealedJson(bytes: Uint8Array): unknown {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tail = all.toString('latin1', Math.max(0, all.length - tailBytes))
  const seal = tail.slice(between.length, between.length + 64)
  const formed =
    all.length > before.length + tailBytes &&
    all.toString('latin1', 0, before.length) === before &&
    tail === `${between}${seal}${after}` &&
    /^[0-9a-f]{64}$/.test(seal)
  if (!formed) throw new Error('it is not sealed JSON: cut short, damaged, or something else')
  const content = all.subarray(before.length, all.length - tailBytes)
  if (sha256(content) !== seal)
    throw new Error('its content differs from its SHA-256: a byte of it was damaged')
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content))
}

/** Keys sorted by UTF-16 code unit, no white space: equal values are equal bytes. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}
