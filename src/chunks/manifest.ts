/** What a chunked checkpoint is: JSON that people can read, under a MAC of its lineage. Written last. */
import { timingSafeEqual } from 'node:crypto'
import { ReprieveError } from '../errors.ts'
import { canonicalJson } from '../sealed-json.ts'
import { isRecord, list, object, problemsOf, summarize, text, whole, type Check } from '../shape.ts'
import { mostEntries } from './pack.ts'
import { requireKey, type Seal } from './seal.ts'

/** A chunk, as the number of its pack in `packs` and its number there; or so many zeros. */
export type Part = readonly [pack: number, ordinal: number] | readonly [zeros: number]
export type ChunkedFile = { path: string; bytes: number; parts: readonly Part[] }
export type PackUse = { id: string; bytes: number; entries: number; mac: string }

export type About = {
  id: string
  lineage: string
  generation: number
  epoch: number
  /** The checkpoint whose chunks this one was compared with. */
  parent?: string
}

export type ChunkedManifest = About & {
  version: number
  keyId: string
  /** Of the files, of what was not in the store before, and of that as it was stored. */
  sizes: { contentBytes: number; newBytes: number; storedBytes: number }
  ms: { index: number; write: number }
  packs: readonly PackUse[]
  files: readonly ChunkedFile[]
}

export const chunkedVersion = 1
const mostBytes = 64 * 1024 * 1024
const middle = ',"mac":"'
const tailBytes = middle.length + 64 + 3

const idText = text('an id of letters, digits, dots and dashes', 200, (value) => /^[\w][\w.-]*$/.test(value))
const hex = (bytes: number) =>
  text(`${bytes} bytes in hex`, bytes * 2, (value) => value.length === bytes * 2 && /^[0-9a-f]*$/.test(value))
const part: Check = (value, where, report) => {
  const fits = Array.isArray(value) && (value.length === 1 || value.length === 2)
  if (!fits || !value.every((number) => Number.isSafeInteger(number) && number >= 0))
    report(`${where} must be one or two whole numbers`)
}
const shape = object(
  {
    version: whole(1, chunkedVersion),
    id: idText,
    lineage: text('a lineage', 1024, (value) => value.length > 0),
    keyId: text('the id of a key', 16, (value) => /^(none|[0-9a-f]{16})$/.test(value)),
    generation: whole(0),
    epoch: whole(0),
    parent: idText,
    sizes: object({ contentBytes: whole(0), newBytes: whole(0), storedBytes: whole(0) }),
    ms: object({ index: whole(0), write: whole(0) }),
    packs: list(
      object({ id: hex(16), bytes: whole(0), entries: whole(1, mostEntries), mac: hex(32) }),
      65_536,
    ),
    files: list(
      object({
        path: text('a relative path', 4096, isRelative),
        bytes: whole(0),
        parts: list(part, 4_194_304),
      }),
      1_000_000,
    ),
  },
  ['parent'],
)

export function writeManifest(manifest: ChunkedManifest, seal: Seal): Buffer {
  requireFit(manifest)
  const content = `{"content":${canonicalJson(manifest)}`
  return Buffer.from(`${content}${middle}${seal.mac(Buffer.from(content)).toString('hex')}"}\n`)
}

/**
 * @param expected the name under which it lay, and the lineage that it was looked for in
 * @throws ReprieveError `store-truncated`, `store-damaged`, `store-unsealed`, `key-foreign`, `store-swapped`,
 *   `store-newer`, `manifest-invalid`
 */
export function readManifest(
  bytes: Buffer,
  seal: Seal,
  expected: { id: string; lineage: string },
): ChunkedManifest {
  const what = `the manifest of ${expected.id}`
  if (bytes.length > mostBytes) throw new ReprieveError('manifest-invalid', `${what} is too large`)
  const at = bytes.length - tailBytes
  const tail = bytes.toString('latin1', Math.max(0, at))
  if (at < 0 || !tail.endsWith('"}\n')) throw new ReprieveError('store-truncated', `${what} is cut short`)
  const content = bytes.subarray(0, at)
  const mac = Buffer.from(tail.slice(middle.length, -3), 'latin1')
  const whole = timingSafeEqual(mac, Buffer.from(seal.mac(content).toString('hex')))
  if (!whole || !tail.startsWith(middle)) {
    const keyId = /"keyId":"(none|[0-9a-f]{16})"/.exec(content.toString('latin1'))?.[1]
    if (keyId !== undefined) requireKey(keyId, seal, what)
    throw new ReprieveError('store-damaged', `${what} differs from what was written`)
  }
  const manifest = parse(content)
  requireFit(manifest)
  requireKey(manifest.keyId, seal, what)
  if (manifest.id !== expected.id || manifest.lineage !== expected.lineage) {
    throw new ReprieveError('store-swapped', `${what} is that of ${manifest.id} of ${manifest.lineage}`)
  }
  return manifest
}

function parse(content: Buffer): unknown {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const whole: unknown = JSON.parse(`${decoder.decode(content)}}`)
    return isRecord(whole) ? whole.content : undefined
  } catch (error) {
    throw new ReprieveError('manifest-invalid', 'a chunked manifest is no JSON', {}, error)
  }
}

function requireFit(value: unknown): asserts value is ChunkedManifest {
  const version = isRecord(value) ? value.version : undefined
  if (typeof version === 'number' && version > chunkedVersion) {
    throw new ReprieveError('store-newer', `a manifest has version ${version}, not ${chunkedVersion}`)
  }
  const problems = problemsOf(shape, value)
  if (problems.length > 0)
    throw new ReprieveError('manifest-invalid', `not a chunked manifest: ${summarize(problems)}`)
}

function isRelative(path: string): boolean {
  return !path.includes('\0') && path.split('/').every((step) => step !== '' && step !== '.' && step !== '..')
}
