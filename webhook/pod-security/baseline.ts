/**
 * The controls of the Pod Security Standard "baseline", in the order and in the version of
 * https://v1-36.docs.kubernetes.io/docs/concepts/security/pod-security-standards/#baseline. Each allows the values that the standard lists, and nothing
 * else. Pure.
 */
import { at, listAt } from '../json-path.ts'
import { isRecord } from '../shape.ts'
import {
  addedTo,
  containerHolders,
  hasOwnUsers,
  isGiven,
  isIn,
  isOff,
  listed,
  quoted,
  securityContexts,
  type Control,
  type Held,
} from './held.ts'

const hostProcess: Control = {
  title: 'HostProcess',
  problemsOf: (held) =>
    securityContexts(held)
      .filter(({ fields }) => !isOff(at(fields, 'windowsOptions', 'hostProcess')))
      .map(({ name }) => `${name} must not set securityContext.windowsOptions.hostProcess`),
}

const hostNamespaces: Control = {
  title: 'Host Namespaces',
  problemsOf: ({ spec }) =>
    ['hostNetwork', 'hostPID', 'hostIPC']
      .filter((field) => !isOff(at(spec, field)))
      .map((field) => `the pod must not set ${field}`),
}

const privileged: Control = {
  title: 'Privileged Containers',
  problemsOf: (held) =>
    containerHolders(held)
      .filter(({ fields }) => !isOff(at(fields, 'securityContext', 'privileged')))
      .map(({ name }) => `${name} must not set securityContext.privileged`),
}

const usualCapabilities: ReadonlySet<unknown> = new Set([
  'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP',
  'SETUID', 'SYS_CHROOT',
]) // prettier-ignore

/** "restricted" has its own, which is stricter. */
export const capabilities: Control = {
  title: 'Capabilities',
  problemsOf: (held) => capabilityProblems(held, usualCapabilities),
}

export function capabilityProblems(held: Held, allowed: ReadonlySet<unknown>): string[] {
  return containerHolders(held).flatMap(({ name, fields }) => {
    const strange = addedTo(fields).filter((one) => !allowed.has(one))
    return strange.length === 0
      ? []
      : [`${name} must not add ${listed(strange)} in securityContext.capabilities`]
  })
}

/** "restricted" limits volumes to a list, which hostPath is not in. */
export const hostPath: Control = {
  title: 'HostPath Volumes',
  problemsOf: ({ volumes }) =>
    volumes
      .filter((volume) => isGiven(at(volume, 'hostPath')))
      .map((volume) => `volume ${quoted(at(volume, 'name'))} must not be a hostPath`),
}

const hostPorts: Control = {
  title: 'Host Ports',
  problemsOf: (held) =>
    containerHolders(held).flatMap(({ name, fields }) =>
      listAt(at(fields, 'ports'))
        .map((port) => at(port, 'hostPort'))
        .filter((port) => isGiven(port) && port !== 0)
        .map((port) => `${name} must not use hostPort ${quoted(port)}`),
    ),
}

const handlers = [
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle.postStart',
  'lifecycle.preStop',
]
const hostFields = handlers.flatMap((handler) =>
  ['httpGet', 'tcpSocket'].map((kind) => `${handler}.${kind}.host`.split('.')),
)

const probeHosts: Control = {
  title: 'Host Probes / Lifecycle Hooks',
  problemsOf: (held) =>
    containerHolders(held).flatMap(({ name, fields }) =>
      hostFields
        .filter((path) => isGiven(at(fields, ...path)) && at(fields, ...path) !== '')
        .map((path) => `${name} must not set ${path.join('.')}`),
    ),
}

export const appArmorAnnotation = 'container.apparmor.security.beta.kubernetes.io/'
const profileTypes: ReadonlySet<unknown> = new Set(['RuntimeDefault', 'Localhost'])

const appArmor: Control = {
  title: 'AppArmor',
  problemsOf: (held) => [
    ...profileProblems(held, 'appArmorProfile'),
    ...Object.entries(isRecord(held.annotations) ? held.annotations : {})
      .filter(([key, value]) => key.startsWith(appArmorAnnotation) && !isConfining(value))
      .map(([key, value]) => `the pod must not set the annotation ${key} to ${quoted(value)}`),
  ],
}

function isConfining(profile: unknown): boolean {
  return (
    profile === '' ||
    profile === 'runtime/default' ||
    (typeof profile === 'string' && profile.startsWith('localhost/'))
  )
}

/** A profile that is given must be of a type that confines. */
export function profileProblems(held: Held, field: 'appArmorProfile' | 'seccompProfile'): string[] {
  return securityContexts(held)
    .map(({ name, fields }) => ({ name, profile: at(fields, field) }))
    .filter(({ profile }) => isGiven(profile) && !profileTypes.has(at(profile, 'type')))
    .map(
      ({ name, profile }) =>
        `${name} must not set securityContext.${field}.type to ${quoted(at(profile, 'type'))}`,
    )
}

const noText: ReadonlySet<unknown> = new Set([''])
const seLinuxFields: readonly (readonly [field: string, allowed: ReadonlySet<unknown>])[] = [
  ['type', new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'])],
  ['user', noText],
  ['role', noText],
]

const seLinux: Control = {
  title: 'SELinux',
  problemsOf: (held) =>
    securityContexts(held).flatMap(({ name, fields }) =>
      seLinuxFields.flatMap(([field, allowed]) => {
        const value = at(fields, 'seLinuxOptions', field)
        return isIn(allowed, value)
          ? []
          : [`${name} must not set securityContext.seLinuxOptions.${field} to ${quoted(value)}`]
      }),
    ),
}

/** "restricted" takes no notice of the user namespace. */
export const procMount: Control = {
  title: '/proc Mount Type',
  problemsOf: (held) => (hasOwnUsers(held) ? [] : procMountProblems(held)),
}

export function procMountProblems(held: Held): string[] {
  const masked: ReadonlySet<unknown> = new Set(['Default'])
  return containerHolders(held)
    .filter(({ fields }) => !isIn(masked, at(fields, 'securityContext', 'procMount')))
    .map(({ name }) => `${name} must not set securityContext.procMount`)
}

/** "restricted" asks for a profile, too. */
export const seccomp: Control = {
  title: 'Seccomp',
  problemsOf: (held) => profileProblems(held, 'seccompProfile'),
}

const safeSysctls: ReadonlySet<unknown> = new Set([
  'kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_local_reserved_ports', 'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_syncookies', 'net.ipv4.tcp_wmem',
]) // prettier-ignore

const sysctls: Control = {
  title: 'Sysctls',
  problemsOf: ({ spec }) =>
    listAt(at(spec, 'securityContext', 'sysctls'))
      .map((sysctl) => at(sysctl, 'name'))
      .filter((name) => !safeSysctls.has(name))
      .map((name) => `the pod must not set the sysctl ${quoted(name)}`),
}

/** In both standards. */
export const common: readonly Control[] = [
  hostProcess,
  hostNamespaces,
  privileged,
  hostPorts,
  probeHosts,
  appArmor,
  seLinux,
  sysctls,
]
