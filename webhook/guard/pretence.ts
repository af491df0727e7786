/** A pod in its final form, after every webhook: what looks like Reprieve's in it must be Reprieve's. */
import type { Config } from '../../src/config.ts'
import { at, listAt } from '../json-path.ts'
import { isInjected } from '../injected.ts'
import { isPod } from '../pod.ts'
import type { AdmissionRequest } from '../review.ts'
import { injectedLabelOf, isReservedName, reprieveContainersIn } from './ours.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

export function judgePretence({ object, namespace }: AdmissionRequest, config: Config): Verdict {
  const signs = signsIn(object)
  if (signs.length === 0) return allowed
  if (!isPod(object)) return denied('review-unreadable', 'the pod is not of a known form')
  return isInjected(object, namespace || object.metadata.namespace || '', config)
    ? allowed
    : denied(
        'pretended',
        `this pod has ${signs.join(', ')}, which only Reprieve adds. If it is a copy of a protected pod, make it anew from what its owner wrote`,
      )
}

function signsIn(pod: unknown): string[] {
  const volumes = listAt(at(pod, 'spec', 'volumes')).map((volume) => at(volume, 'name'))
  return [
    ...(injectedLabelOf(pod) === undefined ? [] : ['the label reprieve.dev/injected']),
    ...[...reprieveContainersIn(pod).keys()].map((name) => `the container ${name}`),
    ...volumes.filter(isReservedName).map((name) => `the volume ${String(name)}`),
  ]
}
