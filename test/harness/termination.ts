/**
 * How the kubelet ends a pod (pkg/kubelet/kuberuntime: killContainersWithSyncResult, killContainer,
 * executePreStopHook, kuberuntime_termination_order.go):
 * every running container at once begins with its own preStop hook; then main containers are stopped, while native
 * sidecars wait for all main containers and for the sidecars after them; then each is stopped with what is
 * left of the grace period, but never less than two seconds. Time is counted in whole seconds, rounded down.
 */
import type { Container } from './container.ts'
import { within } from './deadline.ts'
import { runHandler } from './handler.ts'
import type { PodEvent } from './pod-context.ts'

const minimumGracePeriodSeconds = 2

type Note = (reason: PodEvent['reason'], message: string) => void

/** @param graceSeconds for all containers; a probe's own grace period is the caller's to give */
export async function killPod(containers: Container[], graceSeconds: number, note: Note): Promise<void> {
  const running = containers.filter((container) => container.running)
  const done = new Map<Container, Promise<void>>()
  const turns = new Map<Container, PromiseWithResolvers<void>>()
  for (const container of running) {
    const turn = Promise.withResolvers<void>()
    turns.set(container, turn)
    done.set(container, turn.promise)
  }
  await Promise.all(
    running.map(async (container) => {
      try {
        await killContainer(container, graceSeconds, prerequisites(container, containers, done), note)
      } finally {
        turns.get(container)?.resolve()
      }
    }),
  )
}

/** Whose end a container waits for: a sidecar's are all main containers and the next sidecar after it. */
function prerequisites(
  container: Container,
  all: Container[],
  done: Map<Container, Promise<void>>,
): Promise<void>[] {
  if (container.kind !== 'sidecar') return []
  const later = all.slice(all.indexOf(container) + 1)
  const before = [
    ...all.filter(({ kind }) => kind === 'main'),
    ...later.filter(({ kind }) => kind === 'sidecar').slice(0, 1),
  ]
  return before.map((other) => done.get(other) ?? Promise.resolve())
}

/** Ends one container: hook, turn, TERM, KILL. */
export async function killContainer(
  container: Container,
  graceSeconds: number,
  before: Promise<void>[],
  note: Note,
): Promise<void> {
  note('Killing', `Stopping container ${container.spec.name}`)
  let left = graceSeconds
  const spent = async (work: Promise<unknown>): Promise<void> => {
    const start = performance.now()
    await within(work, left * 1000)
    left -= Math.floor((performance.now() - start) / 1000)
  }
  const hook = container.spec.lifecycle?.preStop
  // The container may have ended by itself meanwhile: a hook's exec then fails, as it does with containerd.
  if (hook !== undefined && left > 0) {
    const budgetMs = left * 1000
    await spent(
      runHandler(hook, container.target(), budgetMs).then((result) => {
        if (!result.ok) note('FailedPreStopHook', `${container.spec.name}: ${result.message}`)
      }),
    )
  }
  if (before.length > 0 && left > 0) await spent(Promise.all(before))
  await container.stop(Math.max(left, minimumGracePeriodSeconds))
}
