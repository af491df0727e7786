/**
 * The mounts of a container and the volumes behind them, as parts of its fingerprint. A volume's own name is made up for each pod
 * (`kube-api-access-x7k2p`): what counts is its source.
 */
import { canonical, type Part } from './canonical.ts'
import { kindOfVolume, volumeOf } from './container-volumes.ts'
import { at, listAt } from './json-path.ts'
import type { Container, Pod, Volume } from './pod.ts'

/** The token's volume is made up by the API server, and changes with its release. */
const serviceAccountPath = '/var/run/secrets/kubernetes.io/serviceaccount'

export function mountParts(pod: Pod, container: Container): Part[] {
  const mounts = (container.volumeMounts ?? []).map((mount): Part => {
    const { mountPath, subPath, readOnly } = mount
    if (mountPath === serviceAccountPath) return [`mount ${mountPath}`, '"token"']
    const subPathExpr = at(mount, 'subPathExpr')
    const subPaths = { subPath: subPath || undefined, subPathExpr: subPathExpr || undefined }
    const source = sourceOf(volumeOf(pod, mount))
    return [`mount ${mountPath}`, canonical({ ...subPaths, readOnly: readOnly ?? false, source })]
  })
  const devices = listAt(at(container, 'volumeDevices')).map((device): Part => {
    const volume = volumeOf(pod, { name: at(device, 'name') })
    return [`device ${String(at(device, 'devicePath'))}`, canonical({ source: sourceOf(volume) })]
  })
  return [...mounts, ...devices]
}

/** The contents of an emptyDir, and of a claim made for the pod alone, travel with the checkpoint: there only the kind counts. */
function sourceOf(volume: Volume | undefined): unknown {
  const kind = kindOfVolume(volume)
  if (kind === 'emptyDir' || kind === 'ephemeral' || kind === 'gitRepo') return { kind }
  const source = volume?.[kind]
  // Whether the kubelet makes or checks the path first.
  const stable = kind === 'hostPath' ? { path: at(source, 'path') } : source
  return { kind, source: stable }
}
