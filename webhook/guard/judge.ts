/**
 * Whether a request may go through: what keeps people who may exec into, debug or patch a pod from becoming root on its node by way of
 * the sidecar, and what keeps a pod from passing for one of ours. Pure.
 */
import type { Config } from '../../src/config.ts'
import { at } from '../json-path.ts'
import type { AdmissionRequest } from '../review.ts'
import { isText } from '../shape.ts'
import { judgeAlteration } from './alteration.ts'
import { judgeEphemeralContainers } from './ephemeral-containers.ts'
import { judgePretence } from './pretence.ts'
import { allowed, denied, type Verdict } from './reasons.ts'
import { isReprieveContainer } from './ours.ts'

export function judge(request: AdmissionRequest, config: Config): Verdict {
  const verdict = judgeAnybody(request, config)
  const groups = request.userInfo?.groups ?? []
  const isLetIn = groups.some((group) => config.guard.allowedGroups.includes(group))
  return verdict.allowed || !isLetIn ? verdict : allowed
}

function judgeAnybody(request: AdmissionRequest, config: Config): Verdict {
  const { operation, resource, subResource } = request
  if (resource.group || resource.resource !== 'pods') return allowed
  switch (`${operation} ${subResource ?? ''}`) {
    case 'CONNECT exec':
    case 'CONNECT attach':
      return judgeStream(request)
    case 'UPDATE ephemeralcontainers':
      return judgeEphemeralContainers(request)
    case 'UPDATE ':
      return judgeAlteration(request)
    case 'CREATE ':
      return judgePretence(request, config)
    default:
      return allowed
  }
}

/**
 * The name alone decides: it is reserved, and the API server takes a request without one to mean the only main container, which ours
 * never are (kubernetes, pkg/registry/core/pod/strategy.go, validateContainer).
 */
function judgeStream({ object, subResource }: AdmissionRequest): Verdict {
  const container = at(object, 'container') ?? ''
  if (!isText(container)) return denied('review-unreadable', `what to ${subResource} into is not to be read`)
  return isReprieveContainer(container)
    ? denied(
        'into-reprieve',
        `${subResource} into ${String(container)} is as good as root on the node: only the role reprieve-operator and the groups in guard.allowedGroups may`,
      )
    : allowed
}
