/**
 * Of a pod that runs, the images of its containers may be changed, and its labels: an image of another's choice would run with the
 * sidecar's capabilities and with the store.
 * https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
 */
import { volumePaths } from '../../src/volume.ts'
import { bounded } from '../bounded-texts.ts'
import { at, listAt } from '../json-path.ts'
import type { AdmissionRequest } from '../review.ts'
import { isRecord } from '../shape.ts'
import { injectedLabelOf, reprieveContainersIn } from './ours.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

export function judgeAlteration({ object, oldObject }: AdmissionRequest): Verdict {
  if (!isRecord(object) || !isRecord(oldObject))
    return denied('review-unreadable', 'the pod, or what it was before, is missing from the review')
  const now = reprieveContainersIn(object)
  for (const [name, container] of reprieveContainersIn(oldObject))
    if (at(now.get(name), 'image') !== at(container, 'image'))
      return denied(
        'altered',
        `the image of ${name} is Reprieve's: only the groups in guard.allowedGroups may change it`,
      )
  if (injectedLabelOf(object) !== injectedLabelOf(oldObject))
    return denied(
      'altered',
      'the label reprieve.dev/injected is set by Reprieve when the pod is made, and by nobody afterwards',
    )
  const changed = withOtherImage(object, oldObject)
  return changed.length === 0 ? allowed : { allowed: true, warnings: bounded(changed.map(warningOf)) }
}

/**
 * Protected containers that get another image while their pod lives. The container is restarted, as the plan of the pod says from its newest
 * checkpoint; the plan was made for the old image, and cannot be changed any more.
 */
function withOtherImage(object: unknown, oldObject: unknown): string[] {
  const now = new Map(containersIn(object).map((container) => [at(container, 'name'), container]))
  return containersIn(oldObject)
    .filter((container) => listAt(at(container, 'command'))[0] === volumePaths.launcher)
    .filter((container) => {
      const changed = now.get(at(container, 'name'))
      return changed !== undefined && at(changed, 'image') !== at(container, 'image')
    })
    .map((container) => String(at(container, 'name')))
}

function containersIn(pod: unknown): unknown[] {
  return listAt(at(pod, 'spec', 'containers'))
}

function warningOf(name: string): string {
  return `container ${name} goes on from its checkpoint, as the old image's program: change the image in the pod's template instead`
}
