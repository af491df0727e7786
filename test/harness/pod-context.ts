/** What a container needs of its pod and node to make its next attempt. */
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { environmentOf, expand } from './environment.ts'
import { findImage, type Image, type Images } from './image.ts'
import type { ContainerSpec, PodIdentity, PodSpec } from './manifest.ts'
import type { Bind, ContainerInput } from './oci-spec.ts'
import type { Runc } from './runc.ts'
import type { Sandbox } from './sandbox.ts'
import type { PreparedVolume, VolumeSources } from './volumes.ts'

export type PodEvent = { timeMs: number; reason: string; message: string }

export type PodContextInput = {
  spec: PodSpec
  identity: PodIdentity
  dir: string
  logDir: string
  cgroupPath: string
  images: Images
  sources: VolumeSources
  volumes: PreparedVolume[]
  sandbox: Sandbox
  runc: Runc
  programs: { shim: string; pause: string }
  seccompDefault: boolean
  event: (reason: string, message: string) => void
}

export class PodContext {
  readonly #input: PodContextInput
  readonly event: (reason: string, message: string) => void

  constructor(input: PodContextInput) {
    this.#input = input
    this.event = input.event
    this.#writeSandboxFiles()
  }

  get spec(): PodSpec {
    return this.#input.spec
  }
  get uid(): string {
    return this.#input.identity.uid
  }
  get dir(): string {
    return this.#input.dir
  }
  get cgroupPath(): string {
    return this.#input.cgroupPath
  }
  get sandbox(): Sandbox {
    return this.#input.sandbox
  }
  get runc(): Runc {
    return this.#input.runc
  }
  get programs(): { shim: string; pause: string } {
    return this.#input.programs
  }
  get seccompDefault(): boolean {
    return this.#input.seccompDefault
  }
  get gracePeriodSeconds(): number {
    return this.spec.terminationGracePeriodSeconds ?? 30
  }

  image(reference: string): Image {
    return findImage(this.#input.images, reference)
  }

  environment(spec: ContainerSpec): Record<string, string> {
    const { identity, sources } = this.#input
    return environmentOf(spec, this.spec, identity, this.image(spec.image), sources)
  }

  /** Logs outlive the pod, in the kubelet's layout: <namespace>_<name>_<uid>/<container>/<attempt>.log. */
  logFolder(container: string): string {
    const folder = join(this.#input.logDir, container)
    mkdirSync(folder, { recursive: true })
    return folder
  }

  namespaces(): ContainerInput['namespaces'] {
    const { sandbox } = this.#input
    const shared = {
      network: sandbox.namespace('net'),
      ipc: sandbox.namespace('ipc'),
      uts: sandbox.namespace('uts'),
    }
    return this.spec.shareProcessNamespace === true ? { ...shared, pid: sandbox.namespace('pid') } : shared
  }

  /** pkg/kubelet/kubelet_pods.go, makeMounts, and what containerd adds for the sandbox's own files. */
  binds(
    spec: ContainerSpec,
    message: { source: string; target: string },
    environment: Record<string, string>,
  ): Bind[] {
    const own = (spec.volumeMounts ?? []).map((mount): Bind => {
      const volume = this.#input.volumes.find(({ name }) => name === mount.name)
      if (volume === undefined) throw new Error(`container ${spec.name}: the pod has no volume ${mount.name}`)
      const subPath = mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, environment)
      if (subPath?.split('/').includes('..'))
        throw new Error(`container ${spec.name}: subPath must not contain '..'`)
      const source = join(volume.source, subPath ?? '')
      if (subPath) makeSubPath(join(this.sandbox.mountView, volume.source), subPath)
      const propagation =
        { Bidirectional: 'rshared', HostToContainer: 'rslave' }[mount.mountPropagation ?? ''] ?? 'rprivate'
      const target = posix.resolve('/', mount.mountPath)
      return { source, target, readOnly: mount.readOnly === true || volume.readOnly, propagation }
    })
    const file = (target: string, name: string): Bind => {
      const source = join(this.dir, 'etc', name)
      return {
        source,
        target,
        readOnly: spec.securityContext?.readOnlyRootFilesystem === true,
        propagation: 'rprivate',
      }
    }
    const given: Bind[] = [
      file('/etc/hosts', 'hosts'),
      file('/etc/hostname', 'hostname'),
      file('/etc/resolv.conf', 'resolv.conf'),
      { ...message, readOnly: false, propagation: 'rprivate' },
      { source: this.sandbox.shm, target: '/dev/shm', readOnly: false, propagation: 'rprivate' },
    ]
    return [...given.filter(({ target }) => !own.some((mount) => mount.target === target)), ...own]
  }

  /** managedHostsFileContent (pkg/kubelet/kubelet_pods.go); there is no DNS server, so resolv.conf names none that is not there. */
  #writeSandboxFiles(): void {
    const { identity } = this.#input
    const folder = join(this.dir, 'etc')
    mkdirSync(folder, { recursive: true })
    const hosts = [
      '# Kubernetes-managed hosts file.',
      '127.0.0.1\tlocalhost',
      '::1\tlocalhost ip6-localhost ip6-loopback',
      `${identity.podIp}\t${identity.hostname}`,
    ]
    writeFileSync(join(folder, 'hosts'), `${hosts.join('\n')}\n`)
    writeFileSync(join(folder, 'hostname'), `${identity.hostname}\n`)
    writeFileSync(
      join(folder, 'resolv.conf'),
      `search ${identity.namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n`,
    )
  }
}

/**
 * pkg/kubelet/kubelet_pods.go, makeMounts: what is missing gets the mode of the volume's root, and what cannot be made keeps the container from
 * being created.
 */
function makeSubPath(volume: string, subPath: string): void {
  const mode = statSync(volume).mode & 0o777
  let path = volume
  for (const name of subPath.split('/')) {
    path = join(path, name)
    if (existsSync(path)) continue
    mkdirSync(path)
    chmodSync(path, mode)
  }
}
