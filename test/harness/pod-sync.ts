/** Which container starts when, and again (pkg/kubelet/kuberuntime/kuberuntime_manager.go, SyncPod and computePodActions). */
import { setTimeout as delay } from 'node:timers/promises'
import type { Container } from './container.ts'
import { watchProbes } from './probes.ts'
import { backoffMs, shouldRestart } from './status.ts'
import { killContainer } from './termination.ts'

export type Supervision = {
  policy: string
  /** What a kubelet's second lasts here when it waits before a restart. */
  backoffScale: number
  graceSeconds: number
  /** Aborted once the pod is to end: nothing is started after that. */
  stopping: AbortSignal
  note: (reason: string, message: string) => void
}

/**
 * Init containers in order: an ordinary one must end with 0 before the next begins; a sidecar must have started (its
 * startup probe, if it has one) and then goes on beside the others.
 * Returns false when the pod cannot be initialized, or is to end.
 */
export async function initialize(containers: Container[], supervision: Supervision): Promise<boolean> {
  for (const container of containers.filter(({ kind }) => kind !== 'main')) {
    if (supervision.stopping.aborted) return false
    if (container.kind === 'sidecar') {
      const started = Promise.withResolvers<void>()
      await begin(container, supervision, started.resolve)
      void keepRunning(container, supervision, started.resolve)
      await Promise.race([started.promise, aborted(supervision.stopping)])
    } else {
      await begin(container, supervision)
      await keepRunning(container, supervision)
      if (container.state.kind !== 'terminated' || container.state.exitCode !== 0) return false
    }
  }
  return !supervision.stopping.aborted
}

/** Main containers are started one after the other, each once the one before runs and its postStart hook has ended. */
export async function startMains(containers: Container[], supervision: Supervision): Promise<Container[]> {
  const mains = containers.filter(({ kind }) => kind === 'main')
  for (const main of mains) {
    if (supervision.stopping.aborted) break
    await begin(main, supervision)
  }
  return mains
}

/** Starts an attempt, then its probes. */
async function begin(container: Container, supervision: Supervision, onStarted?: () => void): Promise<void> {
  await container.start()
  await container.postStart()
  void watchProbes(container, {
    onStarted: () => {
      container.started = true
      onStarted?.()
    },
    onFailed: async (probe) => {
      supervision.note('Unhealthy', `${container.spec.name}: a probe failed; it will be restarted`)
      const grace = probe.terminationGracePeriodSeconds ?? supervision.graceSeconds
      await killContainer(container, grace, [], supervision.note)
    },
  })
}

/** Follows a container through its attempts. Returns when it has ended for good, or the pod is to end. */
export async function keepRunning(
  container: Container,
  supervision: Supervision,
  onStarted?: () => void,
): Promise<void> {
  const { stopping, policy, backoffScale } = supervision
  let crashes = 0
  for (;;) {
    await container.ended
    const { state } = container
    if (stopping.aborted || state.kind !== 'terminated') return
    if (!shouldRestart(container.kind, policy, state.exitCode)) return
    const ranMs = state.finishedAtMs - state.startedAtMs
    crashes = ranMs > 600_000 ? 1 : crashes + 1
    const waitMs = backoffMs(crashes, ranMs) * backoffScale
    if (waitMs > 0) {
      container.wait('CrashLoopBackOff', `back-off restarting failed container ${container.spec.name}`)
      supervision.note('BackOff', `${container.spec.name}: ${waitMs} ms`)
      await delay(waitMs, undefined, { signal: stopping }).catch(() => undefined)
    }
    if (stopping.aborted) return container.giveUp()
    await begin(container, supervision, onStarted)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
