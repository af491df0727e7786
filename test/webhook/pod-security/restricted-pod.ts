import type { Pod } from '../../../webhook/pod.ts'
import { samplePod } from '../admission-fixtures.ts'

/** The sample, as the standard "restricted" wants it. */
export function restrictedPod(change: Parameters<typeof samplePod>[0] = {}): Pod {
  const { spec, container, ...others } = change
  return samplePod({
    ...others,
    spec: { securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, ...spec },
    container: {
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      ...container,
    },
  })
}
