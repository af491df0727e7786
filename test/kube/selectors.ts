/** Field selectors that pods and nodes have (pkg/registry/core/pod/strategy.go, node/strategy.go). */
import type { KubeObject } from './objects.ts'

/** @throws Error for a field that the API server does not select by */
export function selects(selector: string, object: KubeObject): boolean {
  return selector.split(',').every((term) => {
    if (term === '') return true
    const [field = '', value = ''] = term.split('=')
    return fieldOf(object, field) === value
  })
}

function fieldOf({ metadata, spec }: KubeObject, field: string): string {
  if (field === 'metadata.name') return metadata.name
  if (field === 'metadata.namespace') return metadata.namespace ?? ''
  if (field === 'spec.nodeName') return String((spec as { nodeName?: string }).nodeName ?? '')
  throw new Error(`field label not supported: ${field}`)
}
