/**
 * The RuntimeDefault seccomp profile. Debian ships the one that podman, buildah and CRI-O use (package
 * golang-github-containers-common). containerd's (contrib/seccomp/seccomp_default.go) is stricter in what matters
 * here, and that is put in below: EPERM for what it does not know; no io_uring; and without SYS_ADMIN no mounts,
 * no new namespaces, clone3 answered with ENOSYS.
 */
import { existsSync, readFileSync } from 'node:fs'

const profilePath = '/usr/share/containers/seccomp.json'

type Condition = { caps?: string[]; arches?: string[] }
type Rule = {
  names: string[]
  action: string
  errnoRet?: number
  args?: unknown[] | null
  includes?: Condition
  excludes?: Condition
}
type Profile = { syscalls: Rule[] }
type OciRule = { names: string[]; action: string; errnoRet?: number; args?: unknown[] }

/** What containerd allows with SYS_ADMIN only; `clone` is allowed otherwise without flags for new namespaces. */
const forAdministrators = new Set([
  'clone', 'clone3', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'mount', 'mount_setattr', 'move_mount', 'open_tree',
  'pivot_root', 'quotactl', 'quotactl_fd', 'setdomainname', 'sethostname', 'setns', 'umount', 'umount2', 'unshare',
]) // prettier-ignore
const namespaceFlags = 0x7e020000

const arch = process.arch === 'x64' ? 'amd64' : process.arch
const architectures = process.arch === 'x64' ? ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] : ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'] // prettier-ignore

/** The `linux.seccomp` of an OCI configuration for a container with these capabilities (`CAP_…`). */
export function runtimeDefaultSeccomp(capabilities: string[]): Record<string, unknown> {
  if (!existsSync(profilePath))
    throw new Error(`${profilePath} is missing: run make setup (package golang-github-containers-common)`)
  const profile = JSON.parse(readFileSync(profilePath, 'utf8')) as Profile
  const holds = (condition: Condition | undefined, every: boolean): boolean => {
    const caps = (condition?.caps ?? []).map((cap) => capabilities.includes(cap))
    const arches = condition?.arches === undefined ? [] : [condition.arches.includes(arch)]
    const all = [...caps, ...arches]
    return every ? all.every(Boolean) : all.some(Boolean)
  }
  const administrator = capabilities.includes('CAP_SYS_ADMIN')
  const toOci = (rule: Rule): OciRule => ({
    names: rule.names.filter(
      (name) => !name.startsWith('io_uring_') && (administrator || !forAdministrators.has(name)),
    ),
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args ? { args: rule.args } : {}),
  })
  const rules = profile.syscalls
    .filter((rule) => holds(rule.includes, true) && !holds(rule.excludes, false))
    .map(toOci)
    .filter((rule) => rule.names.length > 0)
  if (!administrator) {
    const noNewNamespace = { index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }
    rules.push({ names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [noNewNamespace] })
    rules.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 })
  }
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, architectures, syscalls: rules }
}
