/** A pod as the Pod Security standard `restricted` wants it. */
import type { PodOptions } from './support.ts'

export const restricted = {
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  spec: {
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 3000,
      supplementalGroups: [4000],
      seccompProfile: { type: 'RuntimeDefault' },
    },
  },
} satisfies Omit<PodOptions, 'command'>
