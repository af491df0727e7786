/**
 * A liveness probe fails while a checkpoint stops the application. One that fails often enough makes the kubelet kill the container in the middle
 * of it. Pure. https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
 */
import { parseQuantityBytes } from '../src/quantity.ts'
import { at } from './json-path.ts'
import type { Container, Pod } from './pod.ts'
import { podLimitBytes } from './pod-level-memory.ts'
import { isRecord, isWhole } from './shape.ts'

/** As the sidecar assumes before it has measured (`assumed` in sidecar/container/rates.ts): it stops all tasks, then dumps 1 GB a second. */
const [startMs, dumpBytesPerMs] = [500, 1_000_000]

/** Kubernetes' own, where the probe does not say. */
const defaults = { failureThreshold: 3, periodSeconds: 10, timeoutSeconds: 1 }

export function livenessWarnings(pod: Pod, container: Container): string[] {
  const probe = at(container, 'livenessProbe')
  const bytes = largestBytes(pod, container)
  if (!isRecord(probe) || bytes === undefined) return []
  const number = (name: keyof typeof defaults) => {
    const value = at(probe, name)
    return isWhole(value) && (value as number) > 0 ? (value as number) : defaults[name]
  }
  // The first probe may begin as the application stops.
  const patienceMs =
    ((number('failureThreshold') - 1) * number('periodSeconds') + number('timeoutSeconds')) * 1000
  const freezeMs = startMs + bytes / dumpBytesPerMs
  if (freezeMs <= patienceMs) return []
  const seconds = Math.ceil(freezeMs / 1000)
  return [
    `container ${container.name}: a checkpoint of all its memory may stop it for ${seconds} s, and its livenessProbe fails after ${patienceMs / 1000} s, so the kubelet may kill it. Raise failureThreshold or periodSeconds`,
  ]
}

/** Undefined where nothing says how large it may become. */
function largestBytes(pod: Pod, { resources }: Container): number | undefined {
  const own = parseQuantityBytes(String(resources?.limits?.memory ?? resources?.requests?.memory ?? ''))
  const ofPod = podLimitBytes(pod)
  const most = Math.min(own ?? Number.POSITIVE_INFINITY, ofPod)
  return Number.isFinite(most) ? most : undefined
}
