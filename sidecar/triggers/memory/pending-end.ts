/**
 * The end of a pod whose application is frozen. Runtimes run no preStop in a frozen container (runc: "cannot exec in a paused container"): the
 * hook fails at once, uses none of the grace period, and the kubelet sends SIGTERM, or the image's own stop signal. The launcher blocks that
 * signal, so it stays pending, the sidecar sees it, and saves the application before it thaws it.
 */
import { readFileSync } from 'node:fs'
import type { Deadline } from '../../../src/deadline.ts'

/** The signals that the launcher takes for a request to end (signal_asks_for_end): SIGINT, SIGQUIT, SIGTERM, SIGWINCH. */
const asking = [2, 3, 15, 28]

export type EndedContainer = {
  /** From now on the launcher withholds the signal from the application. @returns when its last checkpoint must be complete */
  endsStandingStill(): Deadline
  /** The launcher passes the signal on. */
  passOn(): void
}

/** During one standstill. */
export class PendingEnd {
  readonly #launcherPid: number
  readonly #container: EndedContainer
  #deadline: Deadline | undefined
  #signal = 0

  constructor(launcherPid: number, container: EndedContainer) {
    this.#launcherPid = launcherPid
    this.#container = container
  }

  /** By when the last checkpoint must be complete, if the pod was told to end. To be called before each thaw. */
  look(): Deadline | undefined {
    if (this.#deadline !== undefined) return this.#deadline
    const pending = pendingEndSignal(this.#launcherPid)
    if (pending === undefined) return undefined
    this.#signal = pending
    return (this.#deadline = this.#container.endsStandingStill())
  }

  /** The exit code of a container that obeys the signal. */
  get code(): number {
    return 128 + this.#signal
  }

  passOn(): void {
    if (this.#deadline !== undefined) this.#container.passOn()
  }
}

/** The pending signal that asks a process to end: proc(5), ShdPnd. */
export function pendingEndSignal(pid: number): number | undefined {
  try {
    const text = /^ShdPnd:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
    const pending = BigInt(`0x${text}`)
    return asking.find((number) => (pending >> BigInt(number - 1)) & 1n)
  } catch {
    // Gone.
    return undefined
  }
}
