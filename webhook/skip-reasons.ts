/**
 * Why a pod is left as it is: a closed set, counted by name. `whenAsked` says what happens to a pod that asked for
 * protection by its own annotation: it is refused where that is the owner's to mend, and admitted where refusing
 * would break something that is not the owner's doing.
 */
export const skipReasons = {
  'not-a-pod-creation': { whenAsked: 'admit', meaning: 'only the creation of pods is of interest' },
  'not-opted-in': { whenAsked: 'admit', meaning: 'neither the pod nor its namespace asked for checkpoints' },
  'opted-out': { whenAsked: 'admit', meaning: 'the pod says reprieve.dev/checkpoint: "false"' },
  'already-injected': { whenAsked: 'admit', meaning: 'Reprieve is in the pod already' },
  'mirror-pod': { whenAsked: 'admit', meaning: 'a static pod runs on its node whatever the API server says' },
  'system-pod': {
    whenAsked: 'admit',
    meaning: "the cluster's own pods and Reprieve's must not depend on Reprieve",
  },
  'review-unreadable': { whenAsked: 'admit', meaning: 'the review or its pod is not of a known form' },
  'internal-error': { whenAsked: 'admit', meaning: 'Reprieve failed; the pod runs without it' },
  'deadline-passed': {
    whenAsked: 'admit',
    meaning: "the API server's deadline passed; the pod runs without Reprieve",
  },
  'pod-security': {
    whenAsked: 'admit',
    meaning:
      "its namespace's Pod Security level is not privileged, and would refuse the pod with the sidecar",
  },
  'annotations-invalid': { whenAsked: 'refuse', meaning: "an annotation's value is not of an accepted form" },
  'host-network': {
    whenAsked: 'refuse',
    meaning: 'hostNetwork is set: connections and ports belong to the node, and would be cut or collide',
  },
  'host-pid': {
    whenAsked: 'refuse',
    meaning: 'hostPID is set: process ids could not be kept free for a restore',
  },
  'host-ipc': { whenAsked: 'refuse', meaning: "hostIPC is set: the node's shared memory would be archived" },
  'host-users-off': {
    whenAsked: 'refuse',
    meaning: 'hostUsers is false: capabilities in a user namespace do not suffice for CRIU',
  },
  'process-sharing-refused': {
    whenAsked: 'refuse',
    meaning: 'shareProcessNamespace is false, but the sidecar must see the application',
  },
  'may-trace': {
    whenAsked: 'refuse',
    meaning: 'a container adds SYS_PTRACE: processes are shared, and the sidecar must not be traced',
  },
  'needs-pid-1': {
    whenAsked: 'refuse',
    meaning: "a container's program has to be process 1, which no program is where processes are shared",
  },
  windows: { whenAsked: 'refuse', meaning: 'the pod is for Windows nodes' },
  tty: { whenAsked: 'refuse', meaning: 'a protected container has a terminal, which cannot be restored' },
  'entrypoint-unknown': {
    whenAsked: 'refuse',
    meaning: "a protected container gives no command, and its image's entrypoint is not known here",
  },
  'registry-unavailable': {
    whenAsked: 'admit',
    meaning: "a protected container gives no command, and its image's registry cannot be asked just now",
  },
  'lineage-unknown': {
    whenAsked: 'refuse',
    meaning:
      'nothing about the pod stays the same across rescheduling, so its checkpoints would not be found',
  },
  'mount-conflict': {
    whenAsked: 'refuse',
    meaning: 'a volume is named reprieve…, or mounted at or under /reprieve',
  },
  'container-conflict': {
    whenAsked: 'refuse',
    meaning: "a container is named reprieve…, or its command is Reprieve's own",
  },
} as const satisfies Record<string, { whenAsked: 'admit' | 'refuse'; meaning: string }>

export type SkipReason = keyof typeof skipReasons
