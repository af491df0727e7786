/** What a kubelet does before the first container: folders, cgroup, sandbox, volumes (syncPod, RunPodSandbox). */
import { mkdirSync } from 'node:fs'
import { makeCgroup } from './cgroup.ts'
import { Container } from './container.ts'
import type { Images } from './image.ts'
import type { PodIdentity, PodManifest } from './manifest.ts'
import { PodContext } from './pod-context.ts'
import type { Allocations } from './resize.ts'
import type { Runc } from './runc.ts'
import { Sandbox } from './sandbox.ts'
import { prepareVolume, type PreparedVolume, type VolumeSources } from './volumes.ts'

export type PodInput = {
  manifest: PodManifest
  identity: Omit<PodIdentity, 'podIp' | 'hostIp'>
  nodeDir: string
  cgroupParent: string
  images: Images
  sources: VolumeSources
  runc: Runc
  programs: { shim: string; pause: string }
  allocations: Allocations
  backoffScale: number
  seccompDefault: boolean
}

export type PodPaths = { dir: string; logDir: string; cgroupPath: string }

/** The pod's volumes as the node sees them; those in memory come to be with the sandbox. */
export function describeVolumes(input: PodInput, dir: string, identity: PodIdentity): PreparedVolume[] {
  const { spec } = input.manifest
  return (spec.volumes ?? []).map((volume) => prepareVolume(volume, dir, spec, identity, input.sources))
}

/** @throws Error when the sandbox or a volume cannot be made; nothing is left running then */
export async function setUpPod(
  input: PodInput,
  paths: PodPaths,
  event: (reason: string, message: string) => void,
): Promise<{ sandbox: Sandbox; context: PodContext; containers: Container[] }> {
  const { identity, runc, programs, images, sources, seccompDefault } = input
  const { spec } = input.manifest
  mkdirSync(paths.dir, { recursive: true })
  mkdirSync(paths.logDir, { recursive: true })
  makeCgroup(paths.cgroupPath)
  const sandbox = await Sandbox.start({
    runc,
    programs,
    podDir: paths.dir,
    cgroupPath: paths.cgroupPath,
    uid: identity.uid,
    hostname: identity.hostname,
    sysctls: Object.fromEntries(
      (spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]),
    ),
    mounts: describeVolumes(input, paths.dir, { ...identity, podIp: '', hostIp: '' }).flatMap(
      ({ mounts }) => mounts,
    ),
  })
  try {
    // The downward API tells the pod its address, which only the sandbox has made known.
    const complete = { ...identity, ...sandbox.network }
    const volumes = describeVolumes(input, paths.dir, complete)
    for (const volume of volumes) volume.fill(volume.mounts.length > 0 ? sandbox.mountView : '/')
    const context = new PodContext({
      ...paths,
      spec,
      identity: complete,
      images,
      sources,
      volumes,
      sandbox,
      runc,
      programs,
      seccompDefault,
      event,
    })
    const containers = [
      ...(spec.initContainers ?? []).map(
        (each) => new Container(context, each, each.restartPolicy === 'Always' ? 'sidecar' : 'init'),
      ),
      ...spec.containers.map((each) => new Container(context, each, 'main')),
    ]
    return { sandbox, context, containers }
  } catch (error) {
    await sandbox.stop()
    throw error
  }
}
