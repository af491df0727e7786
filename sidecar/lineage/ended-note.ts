/**
 * A file in the pod's volume that names the checkpoint with which the pod's end, as `preStop` told it, ended an application that has a probe. The
 * kubelet runs `preStop` as well where a liveness or startup probe failed: if the container starts again in its pod, that is what it was, and the
 * process in the checkpoint hangs. A pod whose containers all start again, with its restore init container first, was only interrupted.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { isCheckpointId } from '../../src/checkpoint-id.ts'
import type { CheckpointManifest } from '../../src/manifest.ts'
import { volumePaths } from '../../src/volume.ts'

/** Best effort: without it the hung process is resumed. */
export async function noteEnded(container: string, id: string): Promise<void> {
  await writeFile(pathOf(container), id).catch(() => undefined)
}

export async function endedWith(container: string): Promise<string | undefined> {
  const id = await readFile(pathOf(container), 'latin1').catch(() => undefined)
  return isCheckpointId(id) ? id : undefined
}

export async function clearEnded(container: string): Promise<void> {
  await rm(pathOf(container), { force: true }).catch(() => undefined)
}

/**
 * The checkpoints from which the application would hang again: that of the hung process, and the one that it was restored from, if it hung before
 * it had another one.
 */
export function hungCheckpoints(manifests: readonly CheckpointManifest[], id: string): string[] {
  const hung = manifests.find((manifest) => manifest.id === id)
  if (hung?.parent === undefined) return [id]
  const { parent, pod, generation } = hung
  const isOfSameLife = (other: CheckpointManifest) =>
    other.id !== id &&
    other.parent === parent &&
    other.pod.uid === pod.uid &&
    other.generation?.id === generation?.id
  return manifests.some(isOfSameLife) ? [id] : [id, parent]
}

function pathOf(container: string): string {
  return `${volumePaths.run}/${container}.ended-with`
}
