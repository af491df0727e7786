/** A volume of the pod is brought back, and begun on, by one container at a time. Containers without a common volume do not wait for each other. */
import { overlap, type PodVolume } from './pod-volumes.ts'

/** What a turn is about. `bytes`: how much is brought back in it. */
export type TurnOf = { volumes: readonly TurnVolume[]; bytes?: number }
type TurnVolume = Pick<PodVolume, 'device' | 'root'>

/** Whoever takes longer hangs, and the applications beside it must not hang with it. */
// @deadline A restore on a shared volume does not end | The next container goes on; 1 s more for each 100 MB
const longestTurnMs = 120_000
const slowBytesPerMs = 100_000

type Turn = { volumes: readonly TurnVolume[]; over: Promise<void> }

export class Turns {
  readonly #longestMs: number
  readonly #turns = new Set<Turn>()

  /** @param longestMs for tests */
  constructor(longestMs = longestTurnMs) {
    this.#longestMs = longestMs
  }

  /**
   * Waits for those who came before, and use one of the volumes.
   * @throws what `work` throws, or the signal's reason where it aborts before the turn comes
   */
  async run<T>({ volumes, bytes = 0 }: TurnOf, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    const before = [...this.#turns].filter((turn) => turn.volumes.some((one) => volumes.some((other) => overlap(one, other)))) // prettier-ignore
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const turn = { volumes, over }
    this.#turns.add(turn)
    const end = () => {
      this.#turns.delete(turn)
      resolve()
    }
    let timer: NodeJS.Timeout | undefined
    try {
      await Promise.race([Promise.all(before.map(({ over }) => over)), rejectedBy(signal)])
      signal.throwIfAborted()
      timer = setTimeout(end, this.#longestMs + bytes / slowBytesPerMs).unref()
      return await work()
    } finally {
      clearTimeout(timer)
      end()
    }
  }
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
