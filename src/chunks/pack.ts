/**
 * A pack: stored chunks one after the other, then its index. The index comes last, so that a pack is written in one
 * go, and is read by one request from the end. Its own MAC covers every byte of it; each chunk has its own tag.
 */
import { timingSafeEqual } from 'node:crypto'
import { ReprieveError } from '../errors.ts'
import { requireKey, tagBytes, type Seal } from './seal.ts'

/** 0: a zstd frame; 1: as it is, because it did not shrink. */
export type Method = 0 | 1
export type Entry = { name: Buffer; storedBytes: number; rawBytes: number; method: Method }
export type Pack = { id: Buffer; entries: readonly Entry[]; offsets: readonly number[]; mac: Buffer }

export const packVersion = 1
/** The least and the most content of a chunk; a pack's index is bounded with them. */
export const chunkBytes = 1024 * 1024
export const mostEntries = 65_536
export const idBytes = 16

const magic = Buffer.from('RPVPACK')
const entryBytes = 32 + 4 + 4 + 1
const keyIdBytes = 16
const footBytes = idBytes + keyIdBytes + 4 + 1 + magic.length
const macBytes = 32

/** Bytes of the index of so many chunks. */
export function indexBytes(entries: number): number {
  return entries * entryBytes + footBytes + macBytes
}

export function writeIndex(id: Buffer, entries: readonly Entry[], seal: Seal): Buffer {
  const table = Buffer.alloc(entries.length * entryBytes)
  for (const [at, entry] of entries.entries()) {
    entry.name.copy(table, at * entryBytes)
    table.writeUInt32BE(entry.storedBytes, at * entryBytes + 32)
    table.writeUInt32BE(entry.rawBytes, at * entryBytes + 36)
    table.writeUInt8(entry.method, at * entryBytes + 40)
  }
  const foot = Buffer.alloc(footBytes)
  id.copy(foot)
  foot.write(seal.keyId.padEnd(keyIdBytes), idBytes, 'latin1')
  foot.writeUInt32BE(entries.length, idBytes + keyIdBytes)
  foot.writeUInt8(packVersion, idBytes + keyIdBytes + 4)
  magic.copy(foot, idBytes + keyIdBytes + 5)
  return Buffer.concat([table, foot, seal.mac(magic, table, foot)])
}

/**
 * @param bytes the whole index, from its first entry to the end of the pack
 * @throws ReprieveError `store-truncated`, `store-damaged`, `store-newer`, `store-unsealed`,
 *   `key-foreign`
 */
export function readIndex(bytes: Buffer, seal: Seal): Pack {
  if (bytes.length < indexBytes(0)) throw new ReprieveError('store-truncated', 'a pack ends before its index')
  const footAt = bytes.length - macBytes - footBytes
  const foot = bytes.subarray(footAt, footAt + footBytes)
  const version = foot.readUInt8(idBytes + keyIdBytes + 4)
  if (!foot.subarray(idBytes + keyIdBytes + 5).equals(magic)) throw damaged('it does not end as a pack ends')
  const keyId = foot.toString('latin1', idBytes, idBytes + keyIdBytes).trimEnd()
  const mac = bytes.subarray(footAt + footBytes)
  const whole = timingSafeEqual(mac, seal.mac(magic, bytes.subarray(0, footAt), foot))
  if (version > packVersion) {
    throw new ReprieveError('store-newer', `a pack has version ${version}, this is ${packVersion}`)
  }
  if (!whole) {
    if (keyId === 'none' || /^[0-9a-f]{16}$/.test(keyId)) requireKey(keyId, seal, 'a pack')
    throw damaged('its index differs from what was written')
  }
  const count = foot.readUInt32BE(idBytes + keyIdBytes)
  if (version !== packVersion || count > mostEntries || indexBytes(count) !== bytes.length) {
    throw damaged('its index is of another length')
  }
  return { id: foot.subarray(0, idBytes), mac, ...readTable(bytes, count) }
}

/** The id that the last bytes of a pack name, unchecked: to say what lies in its place. */
export function idAtEnd(tail: Buffer): string | undefined {
  const foot = tail.subarray(tail.length - indexBytes(0), tail.length - macBytes)
  if (tail.length < indexBytes(0) || !foot.subarray(footBytes - magic.length).equals(magic)) return undefined
  return foot.toString('hex', 0, idBytes)
}

function readTable(bytes: Buffer, count: number): Pick<Pack, 'entries' | 'offsets'> {
  const entries: Entry[] = []
  const offsets: number[] = []
  let offset = 0
  for (let at = 0; at < count; at++) {
    const start = at * entryBytes
    const storedBytes = bytes.readUInt32BE(start + 32)
    const rawBytes = bytes.readUInt32BE(start + 36)
    const method = bytes.readUInt8(start + 40)
    const fits = storedBytes >= tagBytes && storedBytes <= chunkBytes + tagBytes && rawBytes <= chunkBytes
    if (!fits || (method !== 0 && method !== 1)) throw damaged(`its entry ${at} cannot be`)
    entries.push({ name: bytes.subarray(start, start + 32), storedBytes, rawBytes, method })
    offsets.push(offset)
    offset += storedBytes
  }
  return { entries, offsets }
}

function damaged(how: string): ReprieveError {
  return new ReprieveError('store-damaged', `a pack is damaged: ${how}`)
}
