/** Validation against the API server's own OpenAPI document of core/v1. */
import { readFileSync } from 'node:fs'
import { Ajv, type ErrorObject } from 'ajv'
import addFormatsModule from 'ajv-formats'

type Schema = Record<string, unknown>

const document = JSON.parse(
  readFileSync(new URL('../fixtures/openapi-core-v1.json', import.meta.url), 'utf8'),
) as { components: { schemas: Record<string, Schema> } }

const quantityForm = '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$'

/**
 * The document leaves some things to the API server that a validator must be told: a field that a type does not have is
 * refused (fieldValidation=Strict), and a quantity has a form.
 */
function strictSchemas(): Record<string, Schema> {
  const schemas = structuredClone(document.components.schemas)
  for (const schema of Object.values(schemas)) {
    const open = schema.properties === undefined || schema.additionalProperties !== undefined
    if (schema.type === 'object' && !open) schema.additionalProperties = false
  }
  schemas['io.k8s.apimachinery.pkg.api.resource.Quantity'] = {
    oneOf: [{ type: 'string', pattern: quantityForm }, { type: 'number' }],
  }
  // Go writes a zero time as null.
  for (const name of ['Time', 'MicroTime']) {
    const schema = schemas[`io.k8s.apimachinery.pkg.apis.meta.v1.${name}`]
    schemas[`io.k8s.apimachinery.pkg.apis.meta.v1.${name}`] = { oneOf: [{ type: 'null' }, schema] }
  }
  return schemas
}

const ajv = new Ajv({ strict: false, allErrors: true })
// CommonJS seen from an ES module.
const addFormats = addFormatsModule as unknown as (to: Ajv) => void
addFormats(ajv)
ajv.addFormat('int-or-string', true)
ajv.addSchema({ $id: 'core-v1.json', components: { schemas: strictSchemas() } })

export function coreV1Fields(kind: string): string[] {
  return Object.keys(document.components.schemas[`io.k8s.api.core.v1.${kind}`]?.properties ?? {})
}

/** @returns the problems, empty for a valid object */
export function problemsOfCoreV1(kind: string, value: unknown): string[] {
  const validate = ajv.getSchema(`core-v1.json#/components/schemas/io.k8s.api.core.v1.${kind}`)
  if (validate === undefined) throw new Error(`core/v1 has no kind ${kind}`)
  if (validate(value) === true) return []
  return (validate.errors ?? []).map(
    (error: ErrorObject) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`,
  )
}

type Named = { name: string }
type Maybe<T> = T | null | undefined
type Mounting = Named & { volumeMounts?: Maybe<{ name: string; mountPath: string }[]> }

/** Rules of the API server's validation that no schema can say, as far as an injection could break them. */
export function problemsBeyondSchema(pod: {
  spec: { containers: Mounting[]; initContainers?: Maybe<Mounting[]>; volumes?: Maybe<Named[]> }
}): string[] {
  const problems: string[] = []
  const unique = (names: string[], what: string) => {
    for (const [index, name] of names.entries())
      if (names.indexOf(name) !== index) problems.push(`${what} ${name} twice`)
  }
  const volumes = (pod.spec.volumes ?? []).map(({ name }) => name)
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  unique(volumes, 'volume')
  unique(
    containers.map(({ name }) => name),
    'container',
  )
  for (const { name, volumeMounts } of containers) {
    const mounts = volumeMounts ?? []
    unique(
      mounts.map(({ mountPath }) => mountPath),
      `mount path of ${name}`,
    )
    for (const mount of mounts)
      if (!volumes.includes(mount.name)) problems.push(`${name} mounts no volume ${mount.name}`)
  }
  return problems
}
