/** A pod in its final form, after every webhook: what looks like Reprieve's in it must be Reprieve's. */
import type { Config } from '../../src/config.ts'
import { at, listAt } from '../json-path.ts'
import { isPod } from '../pod.ts'
import type { AdmissionRequest } from '../review.ts'
import { whyNotGenuine } from './genuine.ts'
import { containersIn, injectedLabelOf, isReprieveContainer, isReprieveVolume } from './ours.ts'
import { allowed, denied, type Verdict } from './reasons.ts'

export function judgePretence({ object, namespace }: AdmissionRequest, config: Config): Verdict {
  const signs = signsIn(object)
  if (signs.length === 0) return allowed
  if (!isPod(object)) return denied('review-unreadable', 'the pod is not of a known form')
  const why = whyNotGenuine(object, namespace || object.metadata.namespace || '', config)
  return why === undefined
    ? allowed
    : denied(
        'pretended',
        `this pod has ${signs.join(', ')}, which only Reprieve adds, and ${why}. If it is a copy of a protected pod, make it anew from what its owner wrote. While Reprieve is being updated, try again`,
      )
}

/** The names are reserved in every list, so that whoever makes an exception for them makes it for nobody else. */
function signsIn(pod: unknown): string[] {
  const names = containersIn(pod).map((container) => at(container, 'name'))
  const volumes = listAt(at(pod, 'spec', 'volumes')).map((volume) => at(volume, 'name'))
  return [
    ...(injectedLabelOf(pod) === undefined ? [] : ['the label reprieve.dev/injected']),
    ...names.filter(isReprieveContainer).map((name) => `the container ${String(name)}`),
    ...volumes.filter(isReprieveVolume).map((name) => `the volume ${String(name)}`),
  ]
}
