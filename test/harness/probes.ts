/** Probes (pkg/kubelet/prober): the startup probe first, then liveness and readiness, each at its own pace. */
import type { Container } from './container.ts'
import { sleep } from './deadline.ts'
import { runHandler } from './handler.ts'
import type { Probe } from './manifest.ts'

export type ProbeOutcome = 'succeeded' | 'failed' | 'ended'

/** Probes until the threshold is reached either way, or the attempt has ended (`alive` says no). */
async function untilThreshold(
  probe: Probe,
  container: Container,
  alive: () => boolean,
  wanted: 'success' | 'failure',
): Promise<ProbeOutcome> {
  await sleep((probe.initialDelaySeconds ?? 0) * 1000)
  let inARow = 0
  let last: boolean | undefined
  while (alive()) {
    const { ok } = await runHandler(probe, container.target(), (probe.timeoutSeconds ?? 1) * 1000)
    inARow = ok === last ? inARow + 1 : 1
    last = ok
    if (!alive()) break
    if (ok && wanted === 'success' && inARow >= (probe.successThreshold ?? 1)) return 'succeeded'
    if (!ok && inARow >= (probe.failureThreshold ?? 3)) return 'failed'
    await sleep((probe.periodSeconds ?? 10) * 1000)
  }
  return 'ended'
}

/**
 * Watches one attempt of a container. `onStarted` is called when it counts as started, `onFailed` when a startup or
 * liveness probe failed for good: the kubelet then kills the container, and its restart policy decides.
 */
export async function watchProbes(
  container: Container,
  hooks: { onStarted: () => void; onFailed: (probe: Probe) => Promise<void> },
): Promise<void> {
  const { startupProbe, livenessProbe, readinessProbe } = container.spec
  const attempt = container.attempts
  const alive = () => container.running && container.attempts === attempt
  if (startupProbe !== undefined) {
    const outcome = await untilThreshold(startupProbe, container, alive, 'success')
    if (outcome === 'failed') await hooks.onFailed(startupProbe)
    if (outcome !== 'succeeded') return
  }
  if (!alive()) return
  hooks.onStarted()
  const liveness = async (probe: Probe) => {
    if ((await untilThreshold(probe, container, alive, 'failure')) === 'failed') await hooks.onFailed(probe)
  }
  const readiness = async (probe: Probe) => {
    while (alive()) {
      const wanted = container.ready ? 'failure' : 'success'
      const outcome = await untilThreshold(probe, container, alive, wanted)
      if (outcome !== 'ended') container.ready = outcome === 'succeeded'
    }
  }
  if (readinessProbe === undefined) container.ready = true
  await Promise.all([livenessProbe && liveness(livenessProbe), readinessProbe && readiness(readinessProbe)])
}
