/** The values of labels of nodes that a pod selects: of the architecture and the operating system, which every node has, and of others. */
import { at, listAt } from './json-path.ts'
import type { Pod } from './pod.ts'

/** Undefined where any will do. */
export function architecturesOf(pod: Pod): string[] | undefined {
  return nodeSelections(pod, ['kubernetes.io/arch', 'beta.kubernetes.io/arch'])
}

/** Undefined where any will do. */
export function operatingSystemsOf(pod: Pod): string[] | undefined {
  return nodeSelections(pod, ['kubernetes.io/os', 'beta.kubernetes.io/os'])
}

/** Of the first of the labels that it says something of. Undefined where any value will do. */
export function nodeSelections(pod: Pod, labels: readonly string[]): string[] | undefined {
  return selected(pod.spec.nodeSelector, labels) ?? required(pod.spec.affinity, labels)
}

function selected(
  selector: Record<string, string> | null | undefined,
  labels: readonly string[],
): string[] | undefined {
  for (const label of labels) {
    const value = at(selector, label)
    if (typeof value === 'string') return [value]
  }
  return undefined
}

/** Terms are alternatives: one that says nothing of the label leaves all of its values open. */
function required(affinity: unknown, labels: readonly string[]): string[] | undefined {
  const terms = listAt(
    at(affinity, 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms'),
  )
  const found = terms.map((term) => valuesOfTerm(term, labels))
  return found.length === 0 || found.includes(undefined) ? undefined : found.flatMap((some) => some ?? [])
}

function valuesOfTerm(term: unknown, labels: readonly string[]): string[] | undefined {
  for (const expression of listAt(at(term, 'matchExpressions'))) {
    const key = at(expression, 'key')
    if (typeof key === 'string' && labels.includes(key) && at(expression, 'operator') === 'In')
      return listAt(at(expression, 'values')).filter((value) => typeof value === 'string')
  }
  return undefined
}
