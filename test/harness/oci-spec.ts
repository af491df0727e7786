/** The OCI runtime configuration of a container, as containerd's CRI plugin writes it for the kubelet. */
import type { Image } from './image.ts'
import { cgroupVersion, resourcesOf } from './cgroup.ts'
import { argvOf } from './environment.ts'
import type { ContainerSpec, PodSpec } from './manifest.ts'
import { runtimeDefaultSeccomp } from './seccomp.ts'
import type { User } from './security.ts'

export type Bind = { source: string; target: string; readOnly: boolean; propagation: string }

export type ContainerInput = {
  spec: ContainerSpec
  pod: PodSpec
  image: Image
  rootfs: string
  cgroupPath: string
  environment: Record<string, string>
  user: User
  capabilities: string[]
  binds: Bind[]
  /** Paths of the sandbox's namespaces; `pid` only when the pod shares it. */
  namespaces: { network: string; ipc: string; uts: string; pid?: string }
  /** The kubelet's `seccompDefault` configuration: RuntimeDefault for who asks for nothing. */
  seccompDefault: boolean
}

const maskedPaths = [
  '/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats',
  '/proc/sched_debug', '/sys/firmware', '/sys/devices/virtual/powercap', '/proc/scsi',
] // prettier-ignore
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

/** containerd/pkg/oci/mounts.go and spec.go (populateDefaultUnixSpec), plus what the CRI plugin adds. */
const standardMounts = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
  { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
] // prettier-ignore

const namespace = (type: string, path?: string) => (path === undefined ? { type } : { type, path })

export function ociSpec(input: ContainerInput): Record<string, unknown> {
  const { spec, image, environment, user, capabilities, namespaces } = input
  const security = spec.securityContext ?? {}
  const profile = security.seccompProfile ?? input.pod.securityContext?.seccompProfile
  const profileType = profile?.type ?? (input.seccompDefault ? 'RuntimeDefault' : 'Unconfined')
  if (!['RuntimeDefault', 'Unconfined'].includes(profileType))
    throw new Error(`container ${spec.name}: the harness has no seccomp profile of type ${profileType}`)
  return {
    ociVersion: '1.0.2',
    hostname: '',
    root: { path: input.rootfs, readonly: security.readOnlyRootFilesystem === true },
    process: {
      terminal: false,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: argvOf(spec, image, environment),
      env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      cwd: spec.workingDir || image.config.workingDir || '/',
      // No inheritable or ambient ones: a program of another user than root starts with none (containerd, CVE-2022-24769).
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      // pkg/securitycontext/util.go, AddNoNewPrivileges
      noNewPrivileges: security.allowPrivilegeEscalation === false,
      // No rlimits and no oomScoreAdj: see the deviations in node.ts.
    },
    mounts: [...standardMounts, ...input.binds.map(toMount)].sort((a, b) => depth(a) - depth(b)),
    linux: {
      cgroupsPath: input.cgroupPath,
      resources: resourcesOf(spec),
      namespaces: [
        namespace('mount'),
        namespace('network', namespaces.network),
        namespace('ipc', namespaces.ipc),
        namespace('uts', namespaces.uts),
        namespace('pid', namespaces.pid),
        // internal/cri/server/container_create.go: of its own in version 2. The sandbox has none, and so sees the machine's.
        ...(cgroupVersion === 2 ? [namespace('cgroup')] : []),
      ],
      maskedPaths,
      readonlyPaths,
      ...(profileType === 'RuntimeDefault' ? { seccomp: runtimeDefaultSeccomp(capabilities) } : {}),
    },
  }
}

/** containerd sorts mounts, so that a mount never hides one below it (orderedMounts). */
const depth = (mount: { destination: string }) => mount.destination.split('/').filter(Boolean).length

/** The sandbox: the namespaces that containers join, and the pause process in them. */
export function sandboxSpec(input: {
  pause: string
  rootfs: string
  hostname: string
  cgroupPath: string
  sysctls: Record<string, string>
}): Record<string, unknown> {
  return {
    ociVersion: '1.0.2',
    hostname: input.hostname,
    root: { path: input.rootfs, readonly: true },
    process: {
      terminal: false,
      user: { uid: 65535, gid: 65535 }, // as Kubernetes' pause image says
      args: [input.pause],
      env: ['PATH=/'],
      cwd: '/',
      capabilities: { bounding: [], effective: [], permitted: [] },
      noNewPrivileges: true,
    },
    mounts: standardMounts.slice(0, 2),
    linux: {
      cgroupsPath: input.cgroupPath,
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      // containerd's sandbox has a PID namespace of its own in any case; containers join it when the pod shares it.
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
      sysctl: input.sysctls,
      maskedPaths,
      readonlyPaths,
    },
  }
}

function toMount(bind: Bind): { destination: string; type: string; source: string; options: string[] } {
  return {
    destination: bind.target,
    type: 'bind',
    source: bind.source,
    options: ['rbind', bind.propagation, bind.readOnly ? 'ro' : 'rw'],
  }
}
