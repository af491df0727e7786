/** Validates a parsed file by the schema and words every problem: the key, what is expected there, and what was found. */
import { Ajv, type ErrorObject } from 'ajv'
import { formats } from './config-forms.ts'
import { configSchema, type ConfigFile } from './config-schema.ts'

const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, ownProperties: true, keywords: ['expected', 'whenMissing'] }) // prettier-ignore
for (const [name, validate] of formats) ajv.addFormat(name, { type: 'string', validate })
const validate = ajv.compile<ConfigFile>(configSchema)

export type Validated = { file: ConfigFile } | { problems: string[] }

/** @param value is given the schema's defaults */
export function validated(value: unknown): Validated {
  if (validate(value)) return { file: value }
  return { problems: [...new Set((validate.errors ?? []).flatMap(worded))] }
}

function worded(error: ErrorObject): string[] {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
  const { params } = error
  // The error `propertyNames` itself follows, and names the key.
  if (error.propertyName !== undefined) return []
  switch (error.keyword) {
    case 'additionalProperties':
      return [`${keyOf([...path, String(params.additionalProperty)])} is not a known field`]
    case 'required':
      return [`${keyOf([...path, String(params.missingProperty)])} is required${remedyOf(error)}`]
    case 'propertyNames':
      return [`${keyOf([...path, String(params.propertyName)])} must be named by ${expectedOf(error.schema)}`]
    default:
      return [`${keyOf(path)} must ${verb(error)}${found(error.data)}`]
  }
}

function verb({ keyword, parentSchema }: ErrorObject): string {
  const isCount = keyword === 'minProperties' || keyword === 'maxProperties'
  return `${isCount ? 'have' : 'be'} ${isCount ? expectedOf(parentSchema) : described(parentSchema)}`
}

/** Where the schema says what to write. */
function remedyOf({ parentSchema, params }: ErrorObject): string {
  const { whenMissing } = (parentSchema ?? {}) as { whenMissing?: Record<string, string> }
  const remedy = whenMissing?.[String(params.missingProperty)]
  return remedy === undefined ? '' : `: ${remedy}`
}

/** In lists of keys, a number is a place in a list. */
function keyOf(path: string[]): string {
  const key = path.reduce((key, name) => (/^\d+$/.test(name) ? `${key}[${name}]` : `${key}.${name}`), '')
  return key === '' ? 'the file' : key.replace(/^\./, '')
}

function described(schema: unknown): string {
  const { type, enum: accepted, minimum, maximum } = (schema ?? {}) as Record<string, unknown>
  if (type === 'object') return 'a mapping'
  if (type === 'array') return 'a list without repetitions'
  if (Array.isArray(accepted)) return `one of ${accepted.join(', ')}`
  if (minimum !== undefined) return `a whole number from ${String(minimum)} to ${String(maximum)}`
  return expectedOf(schema)
}

function expectedOf(schema: unknown): string {
  return String((schema as { expected?: string } | undefined)?.expected ?? 'a text')
}

const longestFound = 60

function found(data: unknown): string {
  const text = JSON.stringify(data) ?? 'nothing'
  return `, not ${text.length > longestFound ? `${text.slice(0, longestFound)}…` : text}`
}
