/** What becomes of pods that are made to hurt, by the name of the test in hostile-pods.test.ts; for docs/security.md. */
export const hostilePods = {
  'annotations of 256 KiB':
    'The webhook ignores annotations of others. Of its own it reports at most 20 problems or warnings, each cut at 500 characters; the rest is counted.',
  '500 containers':
    'Protected as any other pod. At most 20 of its containers can be protected at a time, since they share the process numbers.',
  'ten thousand volumes, mounts and variables':
    'Read in a time that grows with their number, and not with its square: other reviews do not wait for it.',
  'names that are no names':
    'Unicode, line breaks, `--` and `__proto__` are data. The API server refuses such a pod after the webhook; otherwise the sidecar would.',
  'quantities that are none':
    'A quantity that is neither a text nor a number makes the object no pod, and it is left as it is. No API server sends one.',
  'paths with ..':
    'A mount path is resolved before it is compared, so that none leads into `/reprieve`. Stores and keys are names, and never paths.',
  'a command that mimics ours': 'Refused as `container-conflict`: commands in `/reprieve` are reserved.',
  'containers that mimic ours':
    'Refused as `container-conflict`, and denied by the guard if nobody opted the pod in. Only the plan of this very pod makes a container one of Reprieve.',
  'a namespace that exempts itself':
    'The guard asks about every namespace, and tells namespaces apart by `kubernetes.io/metadata.name`, which the API server sets. By its Pod Security level a namespace can only choose a warning instead of protection.',
  'keys that mean something to JavaScript':
    'The webhook reads own members only: nothing is inherited, and nothing is overwritten.',
  'values nested a thousand deep': 'The webhook does not walk what it does not read.',
} as const
