/**
 * The controls that the Pod Security Standard "restricted" adds to "baseline", or has in the place of one:
 * https://v1-36.docs.kubernetes.io/docs/concepts/security/pod-security-standards/#restricted. Pure.
 */
import { at, listAt } from '../json-path.ts'
import { isRecord } from '../shape.ts'
import { capabilityProblems, procMountProblems, profileProblems } from './baseline.ts'
import {
  containerHolders,
  hasOwnUsers,
  isForWindows,
  isGiven,
  quoted,
  securityContexts,
  type Control,
  type Held,
} from './held.ts'

const volumeKinds = [
  'configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret',
] // prettier-ignore

/** In the place of "HostPath Volumes". */
const volumeTypes: Control = {
  title: 'Volume Types',
  problemsOf: ({ volumes }) =>
    volumes
      .filter((volume) => !hasNoSource(volume) && !volumeKinds.some((kind) => isGiven(at(volume, kind))))
      .map(
        (volume) =>
          `volume ${quoted(at(volume, 'name'))} must be of one of the types ${volumeKinds.join(', ')}`,
      ),
}

/** The API server makes an emptyDir of it (kubernetes, pkg/apis/core/v1/defaults.go, SetDefaults_Volume). */
function hasNoSource(volume: unknown): boolean {
  return isRecord(volume) && Object.keys(volume).every((key) => key === 'name' || !isGiven(volume[key]))
}

const privilegeEscalation: Control = {
  title: 'Privilege Escalation',
  problemsOf: (held) =>
    isForWindows(held)
      ? []
      : containerHolders(held)
          .filter(({ fields }) => at(fields, 'securityContext', 'allowPrivilegeEscalation') !== false)
          .map(({ name }) => `${name} must set securityContext.allowPrivilegeEscalation to false`),
}

const nonRoot: Control = {
  title: 'Running as Non-root',
  problemsOf: (held) => {
    if (hasOwnUsers(held)) return []
    const field = 'runAsNonRoot'
    const refusing = securityContexts(held)
      .filter(({ fields }) => isGiven(at(fields, field)) && at(fields, field) !== true)
      .map(({ name }) => `${name} must not set securityContext.${field} to false`)
    return [...refusing, ...unsaid(held, field, (value) => value === true)]
  },
}

/** The containers that do not set a field of the security context, in a pod that does not set it for them. */
function unsaid(held: Held, field: string, isSaid: (value: unknown) => boolean): string[] {
  return isSaid(at(held.spec, 'securityContext', field))
    ? []
    : containerHolders(held)
        .filter(({ fields }) => !isGiven(at(fields, 'securityContext', field)))
        .map(({ name }) => `${name} or the pod must set securityContext.${field}`)
}

const nonRootUser: Control = {
  title: 'Running as Non-root user',
  problemsOf: (held) =>
    hasOwnUsers(held)
      ? []
      : securityContexts(held)
          .filter(({ fields }) => at(fields, 'runAsUser') === 0)
          .map(({ name }) => `${name} must not set securityContext.runAsUser to 0`),
}

/** In the place of the one of "baseline". */
const seccomp: Control = {
  title: 'Seccomp',
  problemsOf: (held) =>
    isForWindows(held)
      ? []
      : [...profileProblems(held, 'seccompProfile'), ...unsaid(held, 'seccompProfile', isGiven)],
}

const onlyCapability: ReadonlySet<unknown> = new Set(['NET_BIND_SERVICE'])

/** Likewise. */
const capabilities: Control = {
  title: 'Capabilities',
  problemsOf: (held) =>
    isForWindows(held)
      ? []
      : [
          ...containerHolders(held)
            .filter(
              ({ fields }) => !listAt(at(fields, 'securityContext', 'capabilities', 'drop')).includes('ALL'),
            )
            .map(({ name }) => `${name} must drop "ALL" in securityContext.capabilities`),
          ...capabilityProblems(held, onlyCapability),
        ],
}

/** Likewise. */
const procMount: Control = { title: '/proc Mount Type', problemsOf: procMountProblems }

export const restricting: readonly Control[] = [
  volumeTypes,
  privilegeEscalation,
  nonRoot,
  nonRootUser,
  seccomp,
  capabilities,
  procMount,
]
