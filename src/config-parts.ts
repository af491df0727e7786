/** What the sections of the configuration's schema are made of. */
import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { duration } from './config-forms.ts'

export const closed = { additionalProperties: false } as const
/** A section that may be left out. */
export const section = { ...closed, default: {} } as const

export function text(pattern: string, expected: string, about: { description: string; default?: string }) {
  return Type.String({ pattern, expected, ...about })
}

export function oneOf<const T extends string>(
  accepted: readonly T[],
  about: { description: string; default: T },
) {
  return Type.Unsafe<T>({ type: 'string', enum: [...accepted], ...about })
}

/** A mapping of which the administrator chooses the keys. */
export function byName<T extends TSchema>(
  value: T,
  names: { pattern: string; expected: string },
  more: object,
) {
  return Type.Unsafe<Record<string, Static<T>>>({
    type: 'object',
    additionalProperties: value,
    propertyNames: { type: 'string', ...names },
    default: {},
    ...more,
  })
}

export const port = (description: string, port: number) =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: port, description })
export const objectName = {
  pattern: '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$',
  expected: 'the name of an object',
} as const
export const span = (description: string, fallback: string) =>
  duration('1s', '1h', ', for example 90s', { description, default: fallback })

export const file = (description: string) => Type.Optional(Type.String({ minLength: 1, expected: 'a text', description })) // prettier-ignore
