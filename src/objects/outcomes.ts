/** The outcomes that every kind of store tells in the same words. */
import { ReprieveError } from '../errors.ts'

export type Range = { start: number; length: number }

export function existsAlready(key: string, cause?: unknown): ReprieveError {
  return new ReprieveError('object-exists', `there is an object ${key} already`, { key }, cause)
}

export function missing(key: string, cause?: unknown): ReprieveError {
  return new ReprieveError('object-missing', `there is no object ${key}`, { key }, cause)
}

export function damaged(key: string, what: string): ReprieveError {
  return new ReprieveError('object-damaged', `the object ${key} is damaged: ${what}`, { key })
}

/** @throws RangeError A range of nothing cannot be asked for by HTTP, so nothing else takes one. */
export function checkRange(range: Range | undefined): void {
  if (range === undefined) return
  const { start, length } = range
  if (Number.isSafeInteger(start) && start >= 0 && Number.isSafeInteger(start + length) && length > 0) return
  throw new RangeError(`no range of an object: ${length} bytes from byte ${start} on`)
}
