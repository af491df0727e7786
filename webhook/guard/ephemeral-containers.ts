/**
 * Ephemeral containers (`kubectl debug`) of a protected pod. All containers of it share one process namespace, so a process that may trace others
 * there may trace the sidecar, which is root with SYS_ADMIN. Without such a capability the kernel keeps the two apart: to trace a process one
 * must hold every capability that it holds (ptrace(2), "Ptrace access mode checking").
 */
import { addedCapabilities } from '../added-capabilities.ts'
import { bounded } from '../bounded-texts.ts'
import { at, listAt } from '../json-path.ts'
import type { AdmissionRequest } from '../review.ts'
import { isRecord } from '../shape.ts'
import { isReprieveContainer, isReservedName, reprieveContainersIn } from './ours.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

const tracing = new Set(['ALL', 'SYS_PTRACE', 'SYS_ADMIN'])

export function judgeEphemeralContainers({ object, oldObject }: AdmissionRequest): Verdict {
  if (!isRecord(object)) return denied('review-unreadable', 'the pod is missing from the review')
  const before = new Set(ephemeralIn(oldObject).map((container) => at(container, 'name')))
  const added = ephemeralIn(object).filter((container) => !before.has(at(container, 'name')))
  const isProtected = reprieveContainersIn(object).size > 0
  const problems = added.flatMap(isProtected ? problemsOf : problemsElsewhere)
  return problems.length === 0 ? allowed : denied('debug-into-reprieve', bounded(problems).join('; '))
}

function ephemeralIn(pod: unknown): unknown[] {
  return listAt(at(pod, 'spec', 'ephemeralContainers'))
}

/** In a pod that is not protected, too, nobody may pass for the sidecar. */
function problemsElsewhere(container: unknown): string[] {
  const name = at(container, 'name')
  return isReprieveContainer(name)
    ? [`it takes the name ${String(name)}, which is reserved for Reprieve`]
    : []
}

function problemsOf(container: unknown): string[] {
  const problems: string[] = []
  const target = at(container, 'targetContainerName')
  if (isReprieveContainer(target)) problems.push(`it targets ${String(target)}`)
  if (isReservedName(at(container, 'name'))) problems.push('it takes a name that is reserved for Reprieve')
  for (const list of ['volumeMounts', 'volumeDevices'])
    for (const mount of listAt(at(container, list)))
      if (isReservedName(at(mount, 'name')))
        problems.push(`it mounts the volume ${String(at(mount, 'name'))}`)
  if (at(container, 'securityContext', 'privileged') === true) problems.push('it is privileged')
  for (const capability of addedCapabilities(container))
    if (tracing.has(capability))
      problems.push(
        `it adds ${capability}, with which it could trace the sidecar (kubectl debug --profile=baseline adds nothing)`,
      )
  return problems
}
