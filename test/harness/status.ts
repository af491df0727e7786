/** What a pod's `status` says, and the pure rules by which the kubelet computes it. */
import type { PodSpec } from './manifest.ts'

export type ContainerState =
  | { kind: 'waiting'; reason: string; message: string }
  | { kind: 'running'; startedAtMs: number; pid: number }
  | {
      kind: 'terminated'
      exitCode: number
      reason: string
      message: string
      startedAtMs: number
      finishedAtMs: number
    }

export type ContainerStatus = {
  name: string
  state: ContainerState
  lastState: ContainerState | undefined
  restartCount: number
  /** The startup probe succeeded and the postStart hook ended. */
  started: boolean
  ready: boolean
}

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

export type PodStatus = {
  phase: Phase
  reason: string
  message: string
  podIp: string
  initContainerStatuses: ContainerStatus[]
  containerStatuses: ContainerStatus[]
}

/** Only native sidecars restart by a rule of their own: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ */
export type ContainerKind = 'init' | 'sidecar' | 'main'

/**
 * Whether a container that ended starts again: kubecontainer.ShouldContainerBeRestarted for main containers; init
 * containers are retried on failure unless the pod's policy is Never; sidecars always.
 */
export function shouldRestart(kind: ContainerKind, policy: string, exitCode: number): boolean {
  if (kind === 'sidecar') return true
  if (kind === 'init') return exitCode !== 0 && policy !== 'Never'
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
}

/**
 * How long after an exit the next attempt begins: at once the first time, then 10 s, doubled each time, at most 300 s
 * (pkg/kubelet/kuberuntime doBackOff; client-go flowcontrol.Backoff, forgotten after twice its maximum).
 */
export function backoffMs(crashes: number, ranMs: number): number {
  if (crashes <= 1 || ranMs > 600_000) return 0
  return Math.min(300_000, 10_000 * 2 ** (crashes - 2))
}

/** pkg/kubelet/kubelet_pods.go, getPhase: sidecars do not count, except that they must have started. */
export function phaseOf(
  spec: PodSpec,
  init: ContainerStatus[],
  main: ContainerStatus[],
  isTerminal: boolean,
): Phase {
  const policy = spec.restartPolicy ?? 'Always'
  const initSpecs = spec.initContainers ?? []
  const isSidecar = (index: number) => initSpecs[index]?.restartPolicy === 'Always'
  let pendingInit = 0
  let failedInit = 0
  for (const [index, { state, started, lastState }] of init.entries()) {
    if (isSidecar(index)) {
      if (state.kind === 'running' ? !started : lastState === undefined && state.kind === 'waiting')
        pendingInit++
    } else if (state.kind === 'terminated') {
      if (state.exitCode !== 0) failedInit++
    } else if (lastState?.kind !== 'terminated' || lastState.exitCode !== 0) pendingInit++
  }
  if (failedInit > 0 && policy === 'Never') return 'Failed'
  const running = main.filter(({ state }) => state.kind === 'running').length
  const ended = main.filter(({ state }) => state.kind === 'terminated')
  const succeeded = ended.filter(({ state }) => state.kind === 'terminated' && state.exitCode === 0).length
  // Waiting for the next attempt counts as stopped, not as never started.
  const stopped =
    ended.length + main.filter(({ state, lastState }) => state.kind === 'waiting' && lastState).length
  const unknown = main.length - running - stopped
  const begun = running + stopped > 0
  if ((pendingInit > 0 || failedInit > 0) && !begun) return isTerminal ? 'Failed' : 'Pending'
  if (unknown > 0 && !isTerminal) return 'Pending'
  if (running > 0) return 'Running'
  if (isTerminal) return succeeded === main.length ? 'Succeeded' : 'Failed'
  if (policy === 'Always' || ended.length < main.length) return 'Running'
  if (succeeded === main.length) return 'Succeeded'
  return policy === 'Never' ? 'Failed' : 'Running'
}
