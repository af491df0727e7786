/**
 * Why a pod is left as it is: a closed set, counted by name. `whenAsked` says what happens to a pod that asked for
 * protection by its own annotation: it is refused where that is the owner's to mend, and admitted where refusing
 * would break something that is not the owner's doing. `remedy` is for the documentation.
 */
export const skipReasons = {
  'not-a-pod-creation': {
    whenAsked: 'admit',
    meaning: 'only the creation of pods is of interest',
    remedy:
      'Nothing to do: the API server asked about something else. If it happens often, compare the rules of the webhook configuration with the manifests.',
  },
  'not-opted-in': {
    whenAsked: 'admit',
    meaning: 'neither the pod nor its namespace asked for checkpoints',
    remedy:
      'Nothing to do, unless the owner wanted protection: then annotate the pod (the template), not its Deployment or Job.',
  },
  'opted-out': {
    whenAsked: 'admit',
    meaning: 'the pod says reprieve.dev/checkpoint: "false"',
    remedy: 'Nothing to do: the owner set `reprieve.dev/checkpoint: "false"`.',
  },
  'already-injected': {
    whenAsked: 'admit',
    meaning: 'Reprieve is in the pod already',
    remedy: 'Nothing to do: the API server asked the webhook a second time.',
  },
  'mirror-pod': {
    whenAsked: 'admit',
    meaning: 'a static pod runs on its node whatever the API server says',
    remedy: 'Static pods cannot be protected: run the program as an ordinary pod.',
  },
  'system-pod': {
    whenAsked: 'admit',
    meaning: "the cluster's own pods and Reprieve's must not depend on Reprieve",
    remedy:
      'Move the pod to another namespace. Reprieve never changes pods of kube-system, kube-public, kube-node-lease and its own namespace.',
  },
  'review-unreadable': {
    whenAsked: 'admit',
    meaning: 'the review or its pod is not of a known form',
    remedy:
      'The API server sends a form that this version does not know: compare versions, and report `why` of the log line.',
  },
  'internal-error': {
    whenAsked: 'admit',
    meaning: 'Reprieve failed; the pod runs without it',
    remedy: 'This is a defect. Report the error of the log line `failed open`.',
  },
  'deadline-passed': {
    whenAsked: 'admit',
    meaning: "the API server's deadline passed; the pod runs without Reprieve",
    remedy:
      'The webhook lacks CPU: look at its usage and its replicas. Delete the pod, so that its replacement is admitted again.',
  },
  'pod-security': {
    whenAsked: 'admit',
    meaning:
      "its namespace's Pod Security level is not privileged, and would refuse the pod with the sidecar",
    remedy:
      "Set the namespace's label `pod-security.kubernetes.io/enforce` to `privileged`, and `reprieve.dev/pod-security` to the level that it had: then Reprieve holds all other containers to it. Otherwise remove the label that opts in.",
  },
  'annotations-invalid': {
    whenAsked: 'refuse',
    meaning: "an annotation's value is not of an accepted form",
    remedy: 'The message lists every wrong value with what is accepted.',
  },
  'host-network': {
    whenAsked: 'refuse',
    meaning: 'hostNetwork is set: connections and ports belong to the node, and would be cut or collide',
    remedy: 'Remove `hostNetwork`, or leave the pod unprotected.',
  },
  'host-pid': {
    whenAsked: 'refuse',
    meaning: 'hostPID is set: process ids could not be kept free for a restore',
    remedy: 'Remove `hostPID`, or leave the pod unprotected.',
  },
  'host-ipc': {
    whenAsked: 'refuse',
    meaning: "hostIPC is set: the node's shared memory would be archived",
    remedy: 'Remove `hostIPC`, or leave the pod unprotected.',
  },
  'host-users-off': {
    whenAsked: 'refuse',
    meaning: 'hostUsers is false: capabilities in a user namespace do not suffice for CRIU',
    remedy: 'Remove `hostUsers: false`, or leave the pod unprotected.',
  },
  'process-sharing-refused': {
    whenAsked: 'refuse',
    meaning: 'shareProcessNamespace is false, but the sidecar must see the application',
    remedy: 'Remove `shareProcessNamespace: false`, or leave the pod unprotected.',
  },
  'may-trace': {
    whenAsked: 'refuse',
    meaning: 'a container adds SYS_PTRACE: processes are shared, and the sidecar must not be traced',
    remedy:
      "Remove SYS_PTRACE from the container's `securityContext`, or leave the pod unprotected. With a shared process namespace it would open the sidecar to everyone who may exec into that container.",
  },
  'needs-pid-1': {
    whenAsked: 'refuse',
    meaning: "a container's program has to be process 1, which no program is where processes are shared",
    remedy:
      'The container runs `/init` (s6-overlay) or systemd, which end unless they are process 1. Give the container a `command` that starts the program itself, move such a container out of the pod, or leave the pod unprotected.',
  },
  windows: {
    whenAsked: 'refuse',
    meaning: 'the pod is for Windows nodes',
    remedy: 'Reprieve works on Linux only.',
  },
  tty: {
    whenAsked: 'refuse',
    meaning: 'a protected container has a terminal, which cannot be restored',
    remedy: 'Remove `tty: true` from the protected container.',
  },
  'prestop-elsewhere': {
    whenAsked: 'refuse',
    meaning: 'the preStop of a protected container asks another host over HTTPS, which the sidecar does not',
    remedy:
      'Leave out `host`, so that the hook asks the pod itself; or use an `exec` hook; or leave the pod unprotected.',
  },
  'entrypoint-unknown': {
    whenAsked: 'refuse',
    meaning: "a protected container gives no command, and its image's entrypoint is not known here",
    remedy:
      "The message quotes the registry. 401, 403 or 404: check the name, and the pod's pull secret. Or write the image's entrypoint as the container's `command`; `docker image inspect --format '{{json .Config.Entrypoint}}'` prints it.",
  },
  'registry-unavailable': {
    whenAsked: 'admit',
    meaning: "a protected container gives no command, and its image's registry cannot be asked just now",
    remedy:
      "The registry did not answer, or answered 429 or 5xx, or the pod's pull secrets could not be read: the message says which. The log line `looked an image up` has each request. Check the webhook's network; a mirror (`entrypoints.mirrors`) helps against rate limits. Delete the pod, so that its replacement is admitted again.",
  },
  'only-helpers': {
    whenAsked: 'refuse',
    meaning: 'every container of the pod is a known proxy or helper',
    remedy:
      'Name the containers to protect in `reprieve.dev/containers`. Reprieve knows helpers by the name of the container or of its image, and by `helpers` of config.yaml.',
  },
  'not-replaced': {
    whenAsked: 'admit',
    meaning:
      'nobody replaces the pod under the same name, so that nothing would continue from its checkpoints',
    remedy:
      'Nothing to do: only the namespace of the pod has opted in. If something does create a pod that continues its work, set `reprieve.dev/key` to a name that both have.',
  },
  device: {
    whenAsked: 'refuse',
    meaning: 'a protected container uses a device, such as a GPU, whose state is not part of a checkpoint',
    remedy:
      'Leave the pod unprotected, or protect another of its containers (`reprieve.dev/containers`). If the resource stands for no device, list it under `resourcesWithoutDevice` of config.yaml.',
  },
  'huge-pages': {
    whenAsked: 'refuse',
    meaning: 'a protected container may use huge pages, which CRIU does not restore',
    remedy:
      'Leave the pod unprotected, or remove `hugepages-…` from the resources of the protected container.',
  },
  'runtime-class': {
    whenAsked: 'refuse',
    meaning: 'the runtime class of the pod is no runc: its containers are no processes of the node',
    remedy:
      'Leave the pod unprotected. If the handler of the runtime class is runc or crun, say so under `runtimeClasses` of config.yaml.',
  },
  platform: {
    whenAsked: 'refuse',
    meaning:
      'the pod is on a platform whose own admission refuses the sidecar: OpenShift, unless its constraints allow it, or GKE Autopilot',
    remedy: 'Leave the pod unprotected: these platforms are not supported.',
  },
  'virtual-node': {
    whenAsked: 'refuse',
    meaning: 'the pod is for virtual nodes (virtual-kubelet, Fargate), which take no pod with the sidecar',
    remedy: 'Leave the pod unprotected, or remove the selector, label or toleration that the message names.',
  },
  'lineage-unknown': {
    whenAsked: 'refuse',
    meaning:
      'nothing about the pod stays the same across rescheduling, so its checkpoints would not be found',
    remedy: 'Give the pod a name or a controller, or set `reprieve.dev/key`.',
  },
  'mount-conflict': {
    whenAsked: 'refuse',
    meaning: 'a volume is named reprieve…, or mounted at or under /reprieve',
    remedy:
      'Rename the volume or move the mount. `/reprieve` and volume names that begin with `reprieve` are reserved, in mounts too.',
  },
  'container-conflict': {
    whenAsked: 'refuse',
    meaning: "a container is named reprieve…, or its command is Reprieve's own",
    remedy:
      "Rename the container, or write the owner's own command. Names that begin with `reprieve` and commands in `/reprieve` are reserved. For a copy of a protected pod, start from the manifest that its owner wrote.",
  },
} as const satisfies Record<string, { whenAsked: 'admit' | 'refuse'; meaning: string; remedy: string }>

export type SkipReason = keyof typeof skipReasons
