/** One chunk: compressed if that makes it smaller, and back, with its length and its name compared. */
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { ReprieveError } from '../errors.ts'
import type { Entry, Method } from './pack.ts'
import type { Seal } from './seal.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

export type Packed = { payload: Buffer; method: Method }

/** @param level of zstd; 0: not compressed */
export async function packChunk(content: Buffer, level: number): Promise<Packed> {
  if (level === 0) return { payload: content, method: 1 }
  // Never ZSTD_c_nbWorkers: Node 24.21 then answers with nothing and no error.
  const payload = await compress(content, { params: { [constants.ZSTD_c_compressionLevel]: level } })
  return payload.length < content.length ? { payload, method: 0 } : { payload: content, method: 1 }
}

/** @throws ReprieveError `store-damaged` */
export async function unpackChunk(payload: Buffer, entry: Entry, seal: Seal): Promise<Buffer> {
  const content = entry.method === 0 ? await expand(payload, entry.rawBytes) : payload
  if (content.length !== entry.rawBytes) throw damaged(entry, `has ${content.length} bytes`)
  if (!seal.name(content).equals(entry.name)) throw damaged(entry, 'has another content')
  return content
}

/** Bounded, so that a small forged frame cannot fill the memory. */
async function expand(payload: Buffer, rawBytes: number): Promise<Buffer> {
  try {
    return await decompress(payload, { maxOutputLength: Math.max(1, rawBytes) })
  } catch (error) {
    throw new ReprieveError('store-damaged', 'a chunk cannot be decompressed', {}, error)
  }
}

function damaged(entry: Entry, how: string): ReprieveError {
  return new ReprieveError('store-damaged', `the chunk ${entry.name.toString('hex')} ${how}`)
}
