/**
 * One text for all the ways to say the same: names in order, nothing that is null or empty, and none of the defaults that an API server fills
 * in, since a server of another release may fill in others.
 */
import { isRecord } from './shape.ts'

const defaults: Readonly<Record<string, unknown>> = {
  apiVersion: 'v1',
  divisor: '0',
  optional: false,
  privileged: false,
  procMount: 'Default',
  readOnly: false,
  readOnlyRootFilesystem: false,
  value: '',
}

/** Numbers that change no byte of what a process reads. */
const immaterial = new Set(['defaultMode', 'mode', 'expirationSeconds'])

export function canonical(value: unknown): string {
  return JSON.stringify(plain(value)) ?? 'null'
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => plain(item) ?? null)
  if (!isRecord(value)) return value
  const fields = Object.entries(value)
    .filter(([name, inner]) => inner !== null && !isImmaterial(name, inner))
    .map(([name, inner]) => [name, plain(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return fields.length === 0 ? undefined : Object.fromEntries(fields)
}

function isImmaterial(name: string, value: unknown): boolean {
  if (typeof value === 'number') return immaterial.has(name)
  return Object.hasOwn(defaults, name) && defaults[name] === value
}

/** The name of a part of a fingerprint, and its canonical text. */
export type Part = readonly [name: string, text: string]
