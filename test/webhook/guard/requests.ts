/** Requests as the guard is asked about them, by somebody who is nobody in particular. */
import type { Pod } from '../../../webhook/pod.ts'
import type { AdmissionRequest } from '../../../webhook/review.ts'
import { recorded, sampleConfig, samplePod } from '../admission-fixtures.ts'
import { inject } from '../patched-pod.ts'

export const nobody = { username: 'jane', groups: ['ml-team', 'system:authenticated'] }
export const master = { username: 'admin', groups: ['system:masters', 'system:authenticated'] }

/** @param options of the connection */
export function connecting(options: object, subResource = 'exec'): AdmissionRequest {
  const { request } = recorded('connect-exec')
  return { ...request, subResource, userInfo: nobody, object: { apiVersion: 'v1', ...options } }
}

/** The sample, protected. */
export function protectedPod(change: Parameters<typeof samplePod>[0] = {}): Pod {
  const after = inject(samplePod(change), sampleConfig())?.after
  if (after === undefined) throw new Error('the pod was not injected')
  return after
}

/** @param containers the ephemeral ones that the update adds to those that `before` has */
export function debugging(before: Pod, containers: unknown[]): AdmissionRequest {
  const { request } = recorded('update-ephemeralcontainers')
  const old = (before.spec as { ephemeralContainers?: unknown[] }).ephemeralContainers ?? []
  const object = { ...before, spec: { ...before.spec, ephemeralContainers: [...old, ...containers] } }
  return { ...request, userInfo: nobody, object, oldObject: before }
}

export function updating(oldObject: Pod, change: (pod: Pod) => void): AdmissionRequest {
  const object = structuredClone(oldObject)
  change(object)
  return { ...recorded('update-pod-job-finalizer').request, userInfo: nobody, object, oldObject }
}

export function creating(object: Pod, namespace = 'ml-team'): AdmissionRequest {
  return { ...recorded('create-bare-pod').request, userInfo: nobody, namespace, object, oldObject: null }
}

/** One of the containers that injection added. */
export function containerIn(pod: Pod, name: string): Record<string, unknown> {
  const found = pod.spec.initContainers?.find((container) => container.name === name)
  if (found === undefined) throw new Error(`no init container ${name}`)
  return found
}
