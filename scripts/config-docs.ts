/**
 * The schema of the configuration for others: `manifests/config.schema.json`, for editors and for those who validate before they apply, and
 * its keys for the documentation. `make docs` writes both.
 */
import type { TSchema } from '@sinclair/typebox'
import { configSchema } from '../src/config-schema.ts'

/** A deployment gives it by the environment. */
const givenElsewhere = new Set(['image'])

/** What a file may leave out is not required of it: the program fills in the defaults before it validates. */
function published(schema: TSchema): TSchema {
  if (schema.properties === undefined) return schema
  const properties = schema.properties as Record<string, TSchema>
  const { required = [], ...rest } = schema as TSchema & { required?: string[] }
  // The default of `stores` alone is not valid: it lacks the store `default`.
  const asked = required.filter(
    (name) =>
      !givenElsewhere.has(name) && (properties[name]?.default === undefined || isByName(properties[name])),
  )
  return {
    ...rest,
    ...(asked.length > 0 ? { required: asked } : {}),
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, inner]) => [name, published(inner)]),
    ),
  } as TSchema
}

function isByName(schema: TSchema): boolean {
  return schema.propertyNames !== undefined && schema.required !== undefined
}

export type ConfigKey = { key: string; type: string; default: string; meaning: string }

export function schemaText(): string {
  const dialect = { $schema: 'http://json-schema.org/draft-07/schema#', title: 'config.yaml of Reprieve' }
  return `${JSON.stringify({ ...dialect, ...published(configSchema) }, null, 2)}\n`
}

/** Every key that a file may have, in the order of the schema. A mapping of which the administrator chooses the keys is one. */
export function configKeys(schema: TSchema = configSchema, prefix = ''): ConfigKey[] {
  return Object.entries(schema.properties as Record<string, TSchema>).flatMap(([name, inner]) => {
    const key = `${prefix}${name}`
    if (inner.properties !== undefined && inner.description === undefined) return configKeys(inner, `${key}.`)
    const isRequired =
      isByName(inner) ||
      ((schema.required as string[]).includes(name) &&
        inner.default === undefined &&
        !givenElsewhere.has(name))
    return {
      key,
      type: typeOf(inner),
      default: isRequired ? 'required' : defaultOf(inner),
      meaning: inner.description ?? '',
    }
  })
}

function typeOf({ type, enum: accepted, expected, items, minimum, maximum, propertyNames }: TSchema): string {
  if (Array.isArray(accepted)) return accepted.map((one) => `\`${String(one)}\``).join(', ')
  if (type === 'integer') return `${String(minimum)} to ${String(maximum)}`
  if (type === 'array') return `list: ${typeOf(items as TSchema)}`
  if (propertyNames !== undefined) return 'mapping'
  return typeof expected === 'string' ? expected : type === 'object' ? '`cpu`, `memory`' : 'a text'
}

function defaultOf({ default: own, properties = {} }: TSchema): string {
  const inner = Object.entries(properties as Record<string, TSchema>).flatMap(([name, { default: value }]) => (value === undefined ? [] : [[name, value]])) // prettier-ignore
  const value: unknown = inner.length > 0 ? Object.fromEntries(inner) : own
  if (value === undefined) return 'none'
  const isEmpty = typeof value === 'object' && Object.keys(value as object).length === 0
  if (isEmpty) return 'none'
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}
