/**
 * What may be the key of an object. A key is a path below a folder and a part of a URL at once, so it has only characters that mean nothing
 * in either, and no segment that leads out of the folder.
 */
import { ReprieveError } from '../errors.ts'

/** Longer names fit into no folder (NAME_MAX is 255, and a temporary name is longer than its key's last segment). */
const longestSegment = 200
/** S3's bound is 1024 bytes, and a bucket's prefix comes before it. */
const longestKey = 800

const segment = /^[A-Za-z0-9._-]+$/

/** @throws ReprieveError `key-invalid` */
export function checkKey(key: string): void {
  const problem = problemOf(key.split('/')) ?? (key.length > longestKey ? 'it is too long' : undefined)
  if (problem !== undefined) throw invalid(key, problem)
}

/** The beginning of keys, cut anywhere. @throws ReprieveError `key-invalid` */
export function checkPrefix(prefix: string): void {
  const segments = prefix.split('/')
  const last = segments.pop() ?? ''
  const problem = problemOf(segments) ?? (last === '' ? undefined : problemOf([last.replaceAll('.', '_')]))
  if (problem !== undefined) throw invalid(prefix, problem)
}

export function isKey(text: string): boolean {
  return problemOf(text.split('/')) === undefined && text.length <= longestKey
}

function problemOf(segments: readonly string[]): string | undefined {
  for (const name of segments) {
    if (name === '') return 'it has an empty segment'
    if (name === '.' || name === '..') return `its segment "${name}" leads elsewhere`
    if (!segment.test(name)) return 'it has a character other than A-Z a-z 0-9 . _ -'
    if (name.length > longestSegment) return `a segment has more than ${longestSegment} characters`
  }
  return undefined
}

function invalid(key: string, problem: string): ReprieveError {
  const shown = JSON.stringify(key.slice(0, 200))
  return new ReprieveError('key-invalid', `${shown} is no key of an object: ${problem}`, { key })
}
