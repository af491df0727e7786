/**
 * Where a file is cut. Memory is cut at virtual addresses, so that two dumps of one process line up whatever was
 * mapped between them; every other file at its own borders, so that one changed file does not shift the rest.
 */
import { chunkBytes } from './pack.ts'

const pageBytes = 4096
/** PE_PRESENT of CRIU's pagemap: the page is in the pages file. Older images have no flags and `in_parent` instead. */
const present = 4
/** IMG_COMMON_MAGIC and PAGEMAP_MAGIC (criu/include/magic.h). */
const magics = [0x54564319, 0x56084025] as const

export type Range = { address: number; pages: number }
export type Pagemap = { pagesId: number; ranges: readonly Range[] }

/** Lengths of the pieces of a file without addresses. */
export function cutPlain(bytes: number): number[] {
  const whole = Array.from({ length: Math.floor(bytes / chunkBytes) }, () => chunkBytes)
  return bytes % chunkBytes > 0 ? [...whole, bytes % chunkBytes] : whole
}

/** Lengths of the pieces of a pages file; undefined if the pagemap does not describe a file of so many bytes. */
export function cutMemory(ranges: readonly Range[], bytes: number): number[] | undefined {
  const total = ranges.reduce((sum, range) => sum + range.pages, 0) * pageBytes
  if (total !== bytes) return undefined
  const pieces: number[] = []
  for (const range of ranges) {
    let at = range.address
    const end = range.address + range.pages * pageBytes
    while (at < end) {
      const next = Math.min(end, (Math.floor(at / chunkBytes) + 1) * chunkBytes)
      pieces.push(next - at)
      at = next
    }
  }
  return pieces
}

/** A `pagemap-*.img`; undefined if it is none: its pages are then cut as any other file. */
export function readPagemap(image: Buffer): Pagemap | undefined {
  if (image.length < 8 || magics.some((magic, at) => image.readUInt32LE(at * 4) !== magic)) return undefined
  const messages = messagesOf(image.subarray(8))
  const pagesId = messages?.[0]?.get(1)
  if (messages === undefined || pagesId === undefined) return undefined
  const ranges: Range[] = []
  for (const fields of messages.slice(1)) {
    const address = fields.get(1)
    const pages = fields.get(5) ?? fields.get(2)
    if (address === undefined || pages === undefined || address % pageBytes !== 0) return undefined
    if (!Number.isSafeInteger(address + pages * pageBytes)) return undefined
    const flags = fields.get(4) ?? (fields.get(3) === 1 ? 0 : present)
    if ((flags & present) !== 0) ranges.push({ address, pages })
  }
  return { pagesId, ranges }
}

/** Messages of a length and fields that are all varints. */
function messagesOf(bytes: Buffer): Map<number, number>[] | undefined {
  const messages: Map<number, number>[] = []
  for (let at = 0; at < bytes.length;) {
    if (at + 4 > bytes.length) return undefined
    const end = at + 4 + bytes.readUInt32LE(at)
    const fields = end <= bytes.length ? fieldsOf(bytes.subarray(at + 4, end)) : undefined
    if (fields === undefined) return undefined
    messages.push(fields)
    at = end
  }
  return messages
}

function fieldsOf(bytes: Buffer): Map<number, number> | undefined {
  const fields = new Map<number, number>()
  for (let at = 0; at < bytes.length;) {
    const key = varint(bytes, at)
    const value = key && varint(bytes, key.end)
    if (key === undefined || value === undefined || key.value % 8 !== 0) return undefined
    fields.set(key.value / 8, value.value)
    at = value.end
  }
  return fields
}

function varint(bytes: Buffer, from: number): { value: number; end: number } | undefined {
  let value = 0
  for (let at = from, scale = 1; at < bytes.length && at < from + 8; at++, scale *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 127) * scale
    if (byte < 128) return Number.isSafeInteger(value) ? { value, end: at + 1 } : undefined
  }
  return undefined
}
