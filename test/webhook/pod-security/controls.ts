/**
 * The Pod Security Standards v1.36 as a table: each field that they speak of, with values, and which standard allows a pod that has it.
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
type Fields = Record<string, unknown>

/** What of an otherwise restricted pod is set so. Of `container`, each of the three lists has such a one in its turn. */
export type Row = {
  sets: { pod?: Fields; podContext?: Fields; annotations?: Fields; volume?: Fields; container?: Fields; context?: Fields }
  /** The standards that allow it. */
  by: 'both' | 'baseline' | 'neither'
} // prettier-ignore

const pod = (fields: Fields, by: Row['by']): Row => ({ sets: { pod: fields }, by })
const podContext = (fields: Fields, by: Row['by']): Row => ({ sets: { podContext: fields }, by })
const annotations = (fields: Fields, by: Row['by']): Row => ({ sets: { annotations: fields }, by })
const volume = (fields: Fields, by: Row['by']): Row => ({ sets: { volume: fields }, by })
const container = (fields: Fields, by: Row['by']): Row => ({ sets: { container: fields }, by })
const context = (fields: Fields, by: Row['by']): Row => ({ sets: { context: fields }, by })
/** Where the pod's security context and a container's have the field alike. */
const anyContext = (fields: Fields, by: Row['by']): Row[] => [podContext(fields, by), context(fields, by)]

const http = (host: unknown) => ({ httpGet: { port: 80, host } })
const tcp = (host: unknown) => ({ tcpSocket: { port: 80, host } })

/** Each handler as every probe and hook. */
function handled(handlers: object[], by: Row['by']): Row[] {
  const probes = ['livenessProbe', 'readinessProbe', 'startupProbe']
  return handlers.flatMap((handler) =>
    [
      ...probes.map((probe) => ({ [probe]: handler })),
      { lifecycle: { postStart: handler } },
      { lifecycle: { preStop: handler } },
    ].map((fields) => container(fields, by)),
  )
}
const sysctl = (name: string) => ({ sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }, { name, value: '1' }] }) // prettier-ignore

export const controls: Readonly<Record<string, Row[]>> = {
  HostProcess: [
    ...anyContext({ windowsOptions: { hostProcess: true } }, 'neither'),
    ...anyContext({ windowsOptions: { hostProcess: false } }, 'both'),
    ...anyContext({ windowsOptions: {} }, 'both'),
  ],
  'Host Namespaces': ['hostNetwork', 'hostPID', 'hostIPC'].flatMap((field) => [
    pod({ [field]: true }, 'neither'),
    pod({ [field]: false }, 'both'),
    pod({ [field]: null }, 'both'),
    pod({ [field]: 'true' }, 'neither'),
  ]),
  'Privileged Containers': [
    context({ privileged: true }, 'neither'),
    context({ privileged: false }, 'both'),
    context({ privileged: null }, 'both'),
  ],
  Capabilities: [
    ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']
      .map((name) => context({ capabilities: { drop: ['ALL'], add: [name] } }, 'baseline')),
    ...['NET_RAW', 'SYS_ADMIN', 'SYS_PTRACE', 'ALL', 'chown', 'CAP_CHOWN', '', 'net_bind_service']
      .map((name) => context({ capabilities: { drop: ['ALL'], add: [name] } }, 'neither')),
    context({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } }, 'both'),
    context({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE', 'NET_ADMIN'] } }, 'neither'),
    context({ capabilities: { drop: ['ALL', 'NET_RAW'], add: [] } }, 'both'),
    context({ capabilities: { drop: ['all'] } }, 'baseline'),
    context({ capabilities: { drop: ['NET_RAW'] } }, 'baseline'),
    context({ capabilities: { drop: [] } }, 'baseline'),
    context({ capabilities: {} }, 'baseline'),
    context({ capabilities: null }, 'baseline'),
    container({ securityContext: null }, 'baseline'),
  ],
  'HostPath Volumes': [
    volume({ hostPath: { path: '/tmp' } }, 'neither'),
    volume({ hostPath: {} }, 'neither'),
    volume({ hostPath: null, emptyDir: {} }, 'both'),
  ],
  'Host Ports': [
    container({ ports: [{ containerPort: 80, hostPort: 80 }] }, 'neither'),
    container({ ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 81 }] }, 'neither'),
    container({ ports: [{ containerPort: 80, hostPort: 0 }] }, 'both'),
    container({ ports: [{ containerPort: 80, hostPort: null }] }, 'both'),
  ],
  'Host Probes / Lifecycle Hooks': [
    ...handled([http('127.0.0.1'), http('localhost'), http('10.0.0.1'), tcp('example.org')], 'neither'),
    ...handled([http(''), http(undefined), tcp(null), { exec: { command: ['true'] } }, { grpc: { port: 80 } }], 'both'),
  ],
  AppArmor: [
    ...['RuntimeDefault', 'Localhost'].flatMap((type) => anyContext({ appArmorProfile: { type } }, 'both')),
    ...['Unconfined', '', 'runtimedefault'].flatMap((type) => anyContext({ appArmorProfile: { type } }, 'neither')),
    ...anyContext({ appArmorProfile: {} }, 'neither'),
    ...anyContext({ appArmorProfile: null }, 'both'),
    ...['runtime/default', 'localhost/mine', ''].map((profile) => annotations({ 'container.apparmor.security.beta.kubernetes.io/main': profile }, 'both')),
    ...['unconfined', 'runtime/defaults', 'localhost'].map((profile) => annotations({ 'container.apparmor.security.beta.kubernetes.io/nobody': profile }, 'neither')),
  ],
  SELinux: [
    ...['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'].flatMap((type) => anyContext({ seLinuxOptions: { type } }, 'both')),
    ...['spc_t', 'unconfined_t', 'container_T'].flatMap((type) => anyContext({ seLinuxOptions: { type } }, 'neither')),
    ...['user', 'role'].flatMap((field) => anyContext({ seLinuxOptions: { [field]: 'system' } }, 'neither')),
    ...['user', 'role'].flatMap((field) => anyContext({ seLinuxOptions: { [field]: '' } }, 'both')),
    ...anyContext({ seLinuxOptions: { level: 's0:c123,c456' } }, 'both'),
  ],
  '/proc Mount Type': [
    context({ procMount: 'Default' }, 'both'),
    context({ procMount: null }, 'both'),
    context({ procMount: 'Unmasked' }, 'neither'),
    { sets: { pod: { hostUsers: false }, context: { procMount: 'Unmasked' } }, by: 'baseline' },
    { sets: { pod: { hostUsers: true }, context: { procMount: 'Unmasked' } }, by: 'neither' },
  ],
  Seccomp: [
    ...['RuntimeDefault', 'Localhost'].flatMap((type) => anyContext({ seccompProfile: { type } }, 'both')),
    ...['Unconfined', '', 'runtime/default'].flatMap((type) => anyContext({ seccompProfile: { type } }, 'neither')),
    ...anyContext({ seccompProfile: {} }, 'neither'),
    podContext({ seccompProfile: null }, 'baseline'),
    context({ seccompProfile: null }, 'both'),
    { sets: { podContext: { seccompProfile: null }, context: { seccompProfile: { type: 'RuntimeDefault' } } }, by: 'baseline' },
    annotations({ 'seccomp.security.alpha.kubernetes.io/pod': 'unconfined' }, 'both'),
  ],
  Sysctls: [
    ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range',
      'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ip_local_reserved_ports', 'net.ipv4.tcp_keepalive_time',
      'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem',
      'net.ipv4.tcp_wmem'].map((name) => podContext(sysctl(name), 'both')),
    ...['kernel.msgmax', 'net.ipv4.tcp_rmem ', 'net/ipv4/tcp_rmem', 'net.core.somaxconn'].map((name) => podContext(sysctl(name), 'neither')),
  ],
  'Volume Types': [
    ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret']
      .map((kind) => volume({ [kind]: {} }, 'both')),
    ...['awsElasticBlockStore', 'azureDisk', 'azureFile', 'cephfs', 'cinder', 'fc', 'flexVolume', 'flocker', 'gcePersistentDisk', 'gitRepo',
      'glusterfs', 'iscsi', 'nfs', 'photonPersistentDisk', 'portworxVolume', 'quobyte', 'rbd', 'scaleIO', 'storageos', 'vsphereVolume',
      'somethingNew'].map((kind) => volume({ [kind]: {} }, 'baseline')),
    volume({}, 'both'),
  ],
  'Privilege Escalation': [
    context({ allowPrivilegeEscalation: true }, 'baseline'),
    context({ allowPrivilegeEscalation: null }, 'baseline'),
  ],
  'Running as Non-root': [
    ...anyContext({ runAsNonRoot: false }, 'baseline'),
    podContext({ runAsNonRoot: null }, 'baseline'),
    context({ runAsNonRoot: true }, 'both'),
    { sets: { podContext: { runAsNonRoot: false }, context: { runAsNonRoot: true } }, by: 'baseline' },
    { sets: { pod: { hostUsers: false }, podContext: { runAsNonRoot: false } }, by: 'both' },
    { sets: { pod: { hostUsers: true }, podContext: { runAsNonRoot: false } }, by: 'baseline' },
  ],
  'Running as Non-root user': [
    ...anyContext({ runAsUser: 0 }, 'baseline'),
    ...anyContext({ runAsUser: 1000 }, 'both'),
    ...anyContext({ runAsUser: null }, 'both'),
    { sets: { pod: { hostUsers: false }, context: { runAsUser: 0 } }, by: 'both' },
  ],
  'Windows pods': [
    { sets: { pod: { os: { name: 'windows' } }, podContext: { seccompProfile: null }, container: { securityContext: null } }, by: 'both' },
    { sets: { pod: { os: { name: 'linux' } }, container: { securityContext: null } }, by: 'baseline' },
    { sets: { pod: { os: { name: 'windows' } }, podContext: { runAsNonRoot: null } }, by: 'baseline' },
    { sets: { pod: { os: { name: 'windows' } }, context: { windowsOptions: { hostProcess: true } } }, by: 'neither' },
  ],
} // prettier-ignore
