import { lineageOf, type Lineage, type LineageSource } from '../src/lineage.ts'
import { at, listAt } from './json-path.ts'
import type { Pod } from './pod.ts'

/** @param namespace the request's, since the pod's own may be missing at admission */
export function podLineage(pod: Pod, namespace: string, key: string | undefined): Lineage {
  const { name, generateName, labels, annotations, ownerReferences } = pod.metadata
  const source: LineageSource = {
    namespace,
    labels: labels ?? {},
    annotations: annotations ?? {},
    ownerReferences: ownerReferences ?? [],
  }
  if (name !== undefined && name !== null && name !== '') source.name = name
  if (typeof generateName === 'string') source.generateName = generateName
  const node = pod.spec.nodeName || nodeOfDaemonPod(pod)
  if (node !== undefined) source.node = node
  if (key !== undefined) source.key = key
  return lineageOf(source)
}

/** The DaemonSet controller names the node in a required match of `metadata.name`, and nowhere else. */
function nodeOfDaemonPod(pod: Pod): string | undefined {
  const terms = at(
    pod.spec.affinity,
    'nodeAffinity',
    'requiredDuringSchedulingIgnoredDuringExecution',
    'nodeSelectorTerms',
  )
  for (const term of listAt(terms)) {
    for (const field of listAt(at(term, 'matchFields'))) {
      const [node, ...others] = listAt(at(field, 'values'))
      if (at(field, 'key') === 'metadata.name' && at(field, 'operator') === 'In' && others.length === 0)
        if (typeof node === 'string') return node
    }
  }
  return undefined
}
