/** Security contexts, as the kubelet and containerd turn them into capabilities, users and a seccomp profile. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Image } from './image.ts'
import type { ContainerSpec, PodSpec } from './manifest.ts'

/** containerd's default set (containerd/pkg/oci/spec.go: defaultUnixCaps). */
export const defaultCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
  'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
] // prettier-ignore

/** By number: include/uapi/linux/capability.h. */
const allCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP',
  'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
  'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE',
  'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
  'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF',
  'CHECKPOINT_RESTORE',
] // prettier-ignore

const bare = (names: string[] = []) => names.map((name) => name.toUpperCase().replace(/^CAP_/, ''))

export type Granted = { capabilities: string[]; missing: string[] }

/**
 * Adds before drops, `ALL` first (containerd/internal/cri/server/container_create.go). What this process itself may
 * not have, it cannot give: that is left out and returned as `missing`.
 */
export function grantCapabilities(spec: ContainerSpec, bounding = boundingSet()): Granted {
  const add = bare(spec.securityContext?.capabilities?.add)
  const drop = bare(spec.securityContext?.capabilities?.drop)
  const unknown = [...add, ...drop].find((name) => name !== 'ALL' && !allCapabilities.includes(name))
  if (unknown !== undefined) throw new Error(`container ${spec.name}: no capability is named ${unknown}`)
  let set = drop.includes('ALL') ? [] : add.includes('ALL') ? allCapabilities : defaultCapabilities
  set = [...new Set([...set, ...add.filter((name) => name !== 'ALL')])].filter((name) => !drop.includes(name))
  return {
    capabilities: set.filter((name) => bounding.has(name)).map((name) => `CAP_${name}`),
    missing: set.filter((name) => !bounding.has(name)),
  }
}

function boundingSet(): Set<string> {
  const mask = BigInt(
    `0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
  )
  return new Set(allCapabilities.filter((_, bit) => (mask >> BigInt(bit)) & 1n))
}

export type User = { uid: number; gid: number; additionalGids: number[] }

/**
 * The user a container runs as: the container's word, else the pod's, else the image's; its group and further
 * groups from the image's own files, then supplementalGroups and fsGroup (pkg/kubelet/kuberuntime/security_context.go,
 * containerd's oci.WithUser and WithAdditionalGIDs).
 * @throws Error for `runAsNonRoot` with root, as the kubelet's verifyRunAsNonRoot does
 */
export function userOf(spec: ContainerSpec, pod: PodSpec, image: Image): User {
  const own = spec.securityContext ?? {}
  const shared = pod.securityContext ?? {}
  const [imageUser = '0', imageGroup] = (image.config.user || '0').split(':')
  const passwd = readTable(image, 'etc/passwd')
  const groups = readTable(image, 'etc/group')
  const byName = (table: string[][], name: string): number => {
    const id = /^\d+$/.test(name) ? name : table.find((row) => row[0] === name)?.[2]
    if (id === undefined) throw new Error(`container ${spec.name}: the image has no user or group ${name}`)
    return Number(id)
  }
  const uid = own.runAsUser ?? shared.runAsUser ?? byName(passwd, imageUser)
  const entry = passwd.find((row) => row[2] === String(uid))
  const fromImage = imageGroup === undefined ? Number(entry?.[3] ?? 0) : byName(groups, imageGroup)
  const gid = own.runAsGroup ?? shared.runAsGroup ?? fromImage
  if ((own.runAsNonRoot ?? shared.runAsNonRoot) === true && uid === 0)
    throw new Error(`container ${spec.name} has runAsNonRoot and would run as root`)
  const member = groups
    .filter((row) => entry?.[0] && row[3]?.split(',').includes(entry[0]))
    .map((row) => Number(row[2]))
  const extra = [
    ...(shared.supplementalGroups ?? []),
    ...(shared.fsGroup === undefined ? [] : [shared.fsGroup]),
  ]
  return { uid, gid, additionalGids: [...new Set([gid, ...member, ...extra])] }
}

function readTable(image: Image, path: string): string[][] {
  const file = image.layers
    .toReversed()
    .map((layer) => join(layer, path))
    .find(existsSync)
  return file === undefined
    ? []
    : readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => line.split(':'))
}
