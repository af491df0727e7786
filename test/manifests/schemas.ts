/**
 * Objects against the OpenAPI documents of Kubernetes (kubernetes-models is generated from them): its validators for what a field may hold, and
 * TypeScript for fields that a type does not have, which the API server would drop or refuse.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../../scripts/command.ts'
import type { Manifest } from './rendered.ts'

const root = join(import.meta.dirname, '../..')
const compileDeadlineMs = 60_000

type Model = { prototype: { validate(): void } } & (new (data: unknown) => { validate(): void })

/** Kinds of others, which have no document here. */
const customGroups = new Set(['monitoring.coreos.com', 'cert-manager.io'])

export function isCustom({ apiVersion }: Manifest): boolean {
  return customGroups.has(apiVersion.split('/')[0] ?? '')
}

/** @returns a line for each problem, with the object's name */
export async function problemsOfKubernetes(objects: readonly Manifest[]): Promise<string[]> {
  const known = objects.filter((object) => !isCustom(object))
  const invalid = await Promise.all(known.map(invalidValues))
  return [...invalid.flat(), ...(await unknownFields(known))]
}

function nameOf({ kind, metadata }: Manifest): string {
  return `${kind}/${metadata.name}`
}

async function invalidValues(object: Manifest): Promise<string[]> {
  const module = (await import(`kubernetes-models/${object.apiVersion}`).catch(() => ({}))) as Record<
    string,
    Model | undefined
  >
  const Kind = module[object.kind]
  if (Kind === undefined)
    return [`${nameOf(object)}: Kubernetes has no ${object.kind} in ${object.apiVersion}`]
  try {
    new Kind(object).validate()
    return []
  } catch (error) {
    return [`${nameOf(object)}: ${String(error)}`]
  }
}

/** An object literal may only have the fields of its type: the compiler looks through all of it. */
async function unknownFields(objects: readonly Manifest[]): Promise<string[]> {
  const lines = objects.map(
    (object) =>
      `export const _: import('kubernetes-models/${object.apiVersion}').I${object.kind} = ${JSON.stringify(object)}`,
  )
  // Below the repository, where the types are found.
  mkdirSync(join(root, 'build'), { recursive: true })
  const folder = mkdtempSync(join(root, 'build/manifests-'))
  try {
    const files = lines.map((line, index) => {
      const file = join(folder, `${index}.ts`)
      writeFileSync(file, `${line}\n`)
      return file
    })
    const options =
      '--ignoreConfig --noEmit --strict --skipLibCheck --types node --module nodenext --target es2024'
    const compile = [
      join(root, 'node_modules/.bin/tsc'),
      '--pretty',
      'false',
      ...options.split(' '),
      ...files,
    ]
    // The test runner's hooks are for tests, and the compiler does not start with them.
    const { code, stdout, stderr } = await run(['env', '-u', 'NODE_OPTIONS', process.execPath, ...compile], {
      deadlineMs: compileDeadlineMs,
    })
    const told = stdout.split('\n').filter((line) => line !== '')
    if (code !== 0 && told.length === 0) throw new Error(`tsc exited ${code}: ${stderr}`)
    return told.map((line) =>
      line.replace(/^\S*?(\d+)\.ts\([\d,]+\): /, (_, index: string) => {
        const object = objects[Number(index)]
        return object === undefined ? '' : `${nameOf(object)}: `
      }),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
