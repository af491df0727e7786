/**
 * How a lineage's chunks are named, sealed and authenticated. With a key: names are HMACs, so that they tell nothing
 * of the content, and each pack has an AES-256-GCM key of its own. Without one: SHA-256, against accidents only.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto'
import { ReprieveError } from '../errors.ts'

export type Seal = {
  /** Tells one key from another in a manifest, and tells nothing of the key; `none` without a key. */
  readonly keyId: string
  readonly name: (content: Uint8Array) => Buffer
  /** 32 bytes over all parts. */
  readonly mac: (...parts: readonly Uint8Array[]) => Buffer
  readonly close: (payload: Buffer, place: Place) => readonly Uint8Array[]
  /** @throws ReprieveError `store-damaged` */
  readonly open: (stored: Buffer, place: Place) => Buffer
}

/** What a stored chunk is bound to: it opens at no other place and under no other name. */
export type Place = { pack: Buffer; ordinal: number; name: Buffer; rawBytes: number; method: number }

export const tagBytes = 16

/** @param master at least 32 bytes */
export function keyedSeal(master: Uint8Array, lineage: string): Seal {
  if (master.length < 32) throw new RangeError(`a master key has at least 32 bytes, not ${master.length}`)
  const lineageKey = derived(master, `reprieve 1 lineage ${lineage}`)
  const nameKey = derived(lineageKey, 'name')
  const macKey = derived(lineageKey, 'mac')
  // A pack's key serves that pack alone, and each ordinal once, so that no nonce repeats under one key.
  const keyOf = lastKept((pack) => derived(lineageKey, `pack ${pack}`))
  return {
    keyId: derived(lineageKey, 'id').toString('hex', 0, 8),
    name: (content) => createHmac('sha256', nameKey).update(content).digest(),
    mac: (...parts) => {
      const mac = createHmac('sha256', macKey)
      for (const part of parts) mac.update(part)
      return mac.digest()
    },
    close: (payload, place) => {
      const cipher = createCipheriv('aes-256-gcm', keyOf(place.pack.toString('hex')), nonceOf(place))
      cipher.setAAD(boundTo(place))
      const body = [cipher.update(payload), cipher.final()]
      return [...body, cipher.getAuthTag()]
    },
    open: (stored, place) => {
      const { payload, tag } = split(stored)
      const key = keyOf(place.pack.toString('hex'))
      const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(place), { authTagLength: tagBytes })
      decipher.setAAD(boundTo(place)).setAuthTag(tag)
      const content = decipher.update(payload)
      try {
        return Buffer.concat([content, decipher.final()])
      } catch (error) {
        throw damaged(place, error)
      }
    },
  }
}

export const unkeyedSeal: Seal = {
  keyId: 'none',
  name: (content) => hashOf(content),
  mac: (...parts) => hashOf(...parts),
  close: (payload, place) => [payload, hashOf(boundTo(place), payload).subarray(0, tagBytes)],
  open: (stored, place) => {
    const { payload, tag } = split(stored)
    const expected = hashOf(boundTo(place), payload).subarray(0, tagBytes)
    if (!timingSafeEqual(expected, tag)) throw damaged(place)
    return payload
  },
}

/** @throws ReprieveError `store-unsealed`, `key-foreign` */
export function requireKey(keyId: string, seal: Seal, what: string): void {
  if (keyId === seal.keyId) return
  if (keyId === unkeyedSeal.keyId) {
    throw new ReprieveError('store-unsealed', `${what} is not sealed, though this lineage has a key`)
  }
  throw new ReprieveError('key-foreign', `${what} is sealed with the key ${keyId}, not ${seal.keyId}`)
}

function boundTo(place: Place): Buffer {
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32BE(place.ordinal, 0)
  numbers.writeUInt32BE(place.rawBytes, 4)
  numbers.writeUInt32BE(place.method, 8)
  return Buffer.concat([place.pack, place.name, numbers])
}

function nonceOf(place: Place): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(place.ordinal, 8)
  return nonce
}

function split(stored: Buffer): { payload: Buffer; tag: Buffer } {
  const end = stored.length - tagBytes
  if (end < 0) {
    throw new ReprieveError('store-truncated', `a chunk of ${stored.length} bytes is shorter than its tag`)
  }
  return { payload: stored.subarray(0, end), tag: stored.subarray(end) }
}

function damaged(place: Place, cause?: unknown): ReprieveError {
  const where = `chunk ${place.ordinal} of the pack ${place.pack.toString('hex')}`
  return new ReprieveError('store-damaged', `${where} differs from what was written`, {}, cause)
}

function derived(key: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), info, 32))
}

function hashOf(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

function lastKept(make: (of: string) => Buffer): (of: string) => Buffer {
  let kept: { of: string; key: Buffer } | undefined
  return (of) => {
    if (kept?.of !== of) kept = { of, key: make(of) }
    return kept.key
  }
}
