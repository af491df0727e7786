/** The manifests as an administrator gets them: rendered by kubectl's own kustomize. */
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { must } from '../../scripts/command.ts'
import { kubectl } from './tools.ts'

export type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  [field: string]: unknown
}

export const manifests = new URL('../../manifests/', import.meta.url).pathname

/** Paths, relative to the manifests, of what `kubectl apply -k` takes, and of what is added to it. */
export const installable = ['base', ...foldersIn('overlays')]
export const components = foldersIn('components')

function foldersIn(folder: string): string[] {
  return readdirSync(join(manifests, folder)).map((name) => `${folder}/${name}`)
}

/** Everything in a file or a stream of YAML documents. @throws the first error of its syntax */
export function objectsOf(text: string): Manifest[] {
  const documents = parseAllDocuments(text)
  if (!Array.isArray(documents)) throw new Error('there is no document')
  for (const { errors } of documents) if (errors[0] !== undefined) throw errors[0]
  return documents.map((document) => document.toJS() as Manifest)
}

export function objectsIn(path: string): Manifest[] {
  return objectsOf(readFileSync(join(manifests, path), 'utf8'))
}

/** @param added components, as an overlay of somebody's own would add them */
export async function rendered(folder: string, added: readonly string[] = []): Promise<Manifest[]> {
  const copy = mkdtempSync(join(tmpdir(), 'reprieve-manifests-'))
  try {
    cpSync(manifests, copy, { recursive: true })
    const overlay = join(copy, folder, 'kustomization.yaml')
    if (added.length > 0) {
      const content = parse(readFileSync(overlay, 'utf8')) as { components?: string[] }
      const up = '../'.repeat(folder.split('/').length)
      const list = [...(content.components ?? []), ...added.map((component) => up + component)]
      writeFileSync(overlay, JSON.stringify({ ...content, components: list }))
    }
    return objectsOf(await must([await kubectl(), 'kustomize', join(copy, folder)]))
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
