/** The messages to the launcher of a container, over the connection that it has now, and the wait for its adoption. */
import type { ToLauncher } from './launcher-messages.ts'
import type { LauncherConnection } from './launcher-server.ts'

/** How often the sidecar writes to a waiting launcher, and how long each message is valid. */
// @deadline(lastsMs) The sidecar hangs while it prepares | The application starts, counted from its last message
const patience = { everyMs: 2_000, lastsMs: 10_000 } as const
// @deadline The launcher does not adopt the restored tree | The sidecar undoes the restore
const adoptionDeadlineMs = 10_000
/**
 * The same while the container is kept open. After so long a silence the sidecar hangs. The launcher then ends the container: the
 * checkpoint is in the store, and the restarted container resumes from it.
 */
const keptOpen = { everyMs: 20_000, silenceMs: 120_000 } as const

export type Tree = { root: number; supervisor: number; status: string }

export class LauncherTalk {
  #connection: LauncherConnection | undefined
  #patience: NodeJS.Timeout | undefined
  #keptOpen: NodeJS.Timeout | undefined
  /** The life of the launcher (lifeOf). The next launcher may have the same process number and needs a preparation of its own. */
  #toldToStart: string | undefined
  #adoption: ((yes: boolean) => void) | undefined

  speaksOn(connection: LauncherConnection): void {
    if (this.#connection !== connection) {
      this.#adoption?.(false)
      clearInterval(this.#keptOpen)
    }
    this.#connection = connection
  }

  lost(connection: LauncherConnection): void {
    if (this.#connection !== connection) return
    this.#connection = undefined
    clearInterval(this.#keptOpen)
    this.#adoption?.(false)
  }

  /** Repeats a `hold` until another verdict follows, or the connection is lost. */
  say(message: ToLauncher): void {
    if (message.verb === 'hold') return this.#keepOpen()
    if (message.verb !== 'withhold') clearInterval(this.#keptOpen)
    this.#connection?.say(message)
  }

  #keepOpen(): void {
    const say = () => this.#connection?.say({ verb: 'hold', ms: keptOpen.silenceMs })
    say()
    clearInterval(this.#keptOpen)
    this.#keptOpen = setInterval(say, keptOpen.everyMs).unref()
  }

  /**
   * Answers a waiting launcher at once, even while an earlier effect is being carried out. A launcher whose connection broke during its
   * verdict gets the verdict again.
   */
  reassure(life: string, isPreparing: () => boolean): void {
    if (this.#toldToStart === life) return this.say({ verb: 'start' })
    const say = () => {
      if (isPreparing()) this.say({ verb: 'wait', ms: patience.lastsMs })
      else clearInterval(this.#patience)
    }
    this.say({ verb: 'wait', ms: patience.lastsMs })
    clearInterval(this.#patience)
    this.#patience = setInterval(say, patience.everyMs).unref()
  }

  start(life: string): void {
    clearInterval(this.#patience)
    this.#toldToStart = life
    this.say({ verb: 'start' })
  }

  /** Asks the launcher to supervise a restored tree. False where it does not confirm in time, or its connection is lost. */
  adopt(tree: Tree): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#adoption?.(false), adoptionDeadlineMs)
      this.#adoption = (yes) => {
        clearTimeout(timer)
        this.#adoption = undefined
        resolve(yes)
      }
      if (this.#connection === undefined) this.#adoption(false)
      else this.say({ verb: 'adopt', ...tree })
    })
  }

  adopted(): void {
    this.#adoption?.(true)
  }
}
