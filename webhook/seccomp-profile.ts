/**
 * A container that sets no seccomp profile runs unconfined unless the node says otherwise, and then libuv (every Node.js of today) keeps an
 * io_uring ring, which CRIU cannot dump (criu#3070). The runtime's own profile refuses io_uring, and libuv does without. It is what
 * Kubernetes recommends, and what the "restricted" level asks for: https://kubernetes.io/docs/tutorials/security/seccomp/
 */
import { readWishes } from '../src/annotations.ts'
import { at } from './json-path.ts'
import type { Operation } from './patch-text.ts'
import type { Container, Pod } from './pod.ts'
import { isRecord } from './shape.ts'

const profile = { type: 'RuntimeDefault' }

/** @returns nothing where a profile is set, the owner wants none, or the container is privileged: the runtime then applies none */
export function seccompOperations(pod: Pod, container: Container, path: string): Operation[] {
  const context = container.securityContext
  const isSet =
    isRecord(at(pod.spec, 'securityContext', 'seccompProfile')) || isRecord(at(context, 'seccompProfile'))
  if (isSet || at(context, 'privileged') === true) return []
  if (readWishes(pod.metadata.annotations ?? {}).wishes.seccomp === 'keep') return []
  if (context === undefined || context === null)
    return [{ op: 'add', path: `${path}/securityContext`, value: { seccompProfile: profile } }]
  return isRecord(context)
    ? [{ op: 'add', path: `${path}/securityContext/seccompProfile`, value: profile }]
    : []
}

export function seccompWarning(names: readonly string[]): string[] {
  if (names.length === 0) return []
  return [
    `${names.join(', ')}: no seccomp profile was set, so RuntimeDefault is: without it a program may use io_uring, which cannot be saved. reprieve.dev/seccomp: keep leaves it as it is`,
  ]
}
