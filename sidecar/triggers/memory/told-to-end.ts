/**
 * A pod that is told to end while its application stands still. Runtimes run no preStop in a frozen container (runc: "cannot exec in a paused
 * container"): it fails at once, uses up none of the grace, and the kubelet goes on with SIGTERM, or the image's own stop signal. The launcher
 * blocks it, so it stays pending where it can be seen, and the application can be saved before it is let go.
 */
import { readFileSync } from 'node:fs'
import type { Deadline } from '../../../src/deadline.ts'

const lookMs = 250
/** What the launcher takes for a wish to end (signal_asks_for_end): SIGINT, SIGQUIT, SIGTERM, SIGWINCH. */
const asking = [2, 3, 15, 28]

export type EndedContainer = {
  /** From now on the application hears nothing of its end. @returns when its last checkpoint must be complete */
  endsStandingStill(): Deadline
  /** It is to hear of it. */
  passOn(): void
}

/** For one time of standing still. */
export class ToldToEnd {
  readonly #launcherPid: number
  readonly #container: EndedContainer
  #deadline: Deadline | undefined
  #signal = 0

  constructor(launcherPid: number, container: EndedContainer) {
    this.#launcherPid = launcherPid
    this.#container = container
  }

  /** By when its last checkpoint must be complete, where it was told to end. Before each thaw. */
  look(): Deadline | undefined {
    if (this.#deadline !== undefined) return this.#deadline
    const pending = pendingEnd(this.#launcherPid)
    if (pending === undefined) return undefined
    this.#signal = pending
    return (this.#deadline = this.#container.endsStandingStill())
  }

  /** What a container ends with that obeyed. */
  get code(): number {
    return 128 + this.#signal
  }

  passOn(): void {
    if (this.#deadline !== undefined) this.#container.passOn()
  }

  /** What the work comes to, or `instead` as soon as it is told to end. */
  async unless<T>(work: Promise<T>, instead: T): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const told = new Promise<T>((resolve) => {
      timer = setInterval(() => this.look() !== undefined && resolve(instead), lookMs)
    })
    return Promise.race([work, told]).finally(() => clearInterval(timer))
  }
}

/** The signal that asks a process for its end, and that it has not taken yet: proc(5), ShdPnd. */
export function pendingEnd(pid: number): number | undefined {
  try {
    const text = /^ShdPnd:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
    const pending = BigInt(`0x${text}`)
    return asking.find((number) => (pending >> BigInt(number - 1)) & 1n)
  } catch {
    // Gone.
    return undefined
  }
}
