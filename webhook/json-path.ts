/** Reading parsed JSON that nobody has looked at yet: own members only, and what is not there is undefined. */
import { isRecord } from './shape.ts'

export function at(value: unknown, ...path: string[]): unknown {
  let inner = value
  for (const name of path) inner = isRecord(inner) && Object.hasOwn(inner, name) ? inner[name] : undefined
  return inner
}

export function listAt(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
