/** Which of an index's images a pod's node would run. */
import { architecturesOf } from '../node-labels.ts'
import type { Pod } from '../pod.ts'
import type { Descriptor } from './manifest.ts'

/**
 * The architecture that the pod asks for, by its node selector or by what it requires of nodes. Where that leaves several, or
 * none, `usual` is taken if it is among them.
 */
export function architectureOf(pod: Pod, usual: string): string {
  const asked = architecturesOf(pod)
  return asked === undefined || asked.includes(usual) ? usual : (asked[0] ?? usual)
}

/** The platforms that a runtime accepts where an index names none: https://github.com/containerd/platforms (Only). */
const variantsInOrder: Readonly<Record<string, readonly string[]>> = {
  amd64: ['', 'v1'],
  arm64: ['', 'v8'],
  arm: ['v7', '', 'v6', 'v5'],
}

/**
 * Undefined if the index has none for Linux on this architecture, and more than one on others: a sole one is what runs, if anything
 * does. Attestations stand in an index as `unknown/unknown`.
 */
export function chooseImage(manifests: readonly Descriptor[], architecture: string): Descriptor | undefined {
  const forLinux = manifests.filter(({ platform }) => platform?.os === 'linux')
  const fitting = forLinux.filter(({ platform }) => platform?.architecture === architecture)
  const order = Object.hasOwn(variantsInOrder, architecture) ? (variantsInOrder[architecture] ?? ['']) : ['']
  for (const variant of order) {
    const found = fitting.find(({ platform }) => (platform?.variant ?? '') === variant)
    if (found !== undefined) return found
  }
  return fitting[0] ?? (forLinux.length === 1 ? forLinux[0] : undefined)
}
