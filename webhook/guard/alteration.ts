/**
 * Of a pod that runs, the images of its containers may be changed, and its labels: an image of another's choice would run with the
 * sidecar's capabilities and with the store.
 * https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
 */
import { at } from '../json-path.ts'
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
  return injectedLabelOf(object) === injectedLabelOf(oldObject)
    ? allowed
    : denied(
        'altered',
        'the label reprieve.dev/injected is set by Reprieve when the pod is made, and by nobody afterwards',
      )
}
