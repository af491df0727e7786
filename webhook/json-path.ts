/** Reads parsed JSON that is not validated yet: own members only, and undefined for one that is not there. */
import { isRecord } from './shape.ts'

export function at(value: unknown, ...path: string[]): unknown {
  let inner = value
  for (const name of path) inner = isRecord(inner) && Object.hasOwn(inner, name) ? inner[name] : undefined
  return inner
}

export function listAt(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
