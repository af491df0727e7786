/** What other webhooks do to a pod: each returns a changed copy. */
import type { Container, Pod } from '../../webhook/pod.ts'

type Change = {
  /** @param name of the protected container */
  applied: (pod: Pod, name: string) => Pod
  /** Whether the plan of the container follows from it. */
  isOfPlan: boolean
}

type Loose = Container & { env?: { name: string; value?: string }[] | null }

function inContainer(change: (container: Loose, pod: Pod) => void): Change['applied'] {
  return (pod, name) => {
    const copy = structuredClone(pod)
    for (const container of copy.spec.containers) if (container.name === name) change(container, copy)
    return copy
  }
}

function mounting(source: object): Change {
  const applied = inContainer((container, { spec }) => {
    spec.volumes = [...(spec.volumes ?? []), { name: 'of-later', ...source }]
    container.volumeMounts = [...(container.volumeMounts ?? []), { name: 'of-later', mountPath: '/of-later' }]
  })
  return { applied, isOfPlan: true }
}

const changed = (change: (container: Loose) => void): Change => ({
  applied: inContainer(change),
  isOfPlan: true,
})

export const laterChanges: Readonly<Record<string, Change>> = {
  'rewrites the image': changed((container) => {
    container.image = 'mirror.example/of-later:1'
  }),
  'changes the arguments': changed((container) => {
    container.args = [...(container.args ?? []), '--of-later']
  }),
  'changes the working directory': changed((container) => {
    container.workingDir = '/of-later'
  }),
  'adds a variable': changed((container) => {
    container.env = [...(container.env ?? []), { name: 'OF_LATER', value: '1' }]
  }),
  'hardens the security context': changed((container) => {
    container.securityContext = { ...(container.securityContext as object | undefined), runAsUser: 65_534 }
  }),
  'marks a restart': {
    applied: (pod) => {
      const copy = structuredClone(pod)
      copy.metadata.annotations = { ...copy.metadata.annotations, 'checksum/config': 'of-later' }
      return copy
    },
    isOfPlan: true,
  },
  'mounts an emptyDir': mounting({ emptyDir: {} }),
  'mounts a claim': mounting({ persistentVolumeClaim: { claimName: 'later' } }),
  'mounts a generic ephemeral volume': mounting({ ephemeral: { volumeClaimTemplate: { spec: {} } } }),
  'mounts an inline volume of a CSI driver': mounting({ csi: { driver: 'secrets.example' } }),
  'mounts an image': mounting({ image: { reference: 'model:1' } }),
  'mounts a projected token': mounting({ projected: { sources: [] } }),
  'adds a proxy and labels': {
    applied: (pod) => {
      const copy = structuredClone(pod)
      copy.spec.containers.push({ name: 'istio-proxy', image: 'istio/proxyv2:1', args: ['proxy'] })
      copy.metadata.labels = { ...copy.metadata.labels, 'example.org/later': 'true' }
      return copy
    },
    isOfPlan: false,
  },
}
