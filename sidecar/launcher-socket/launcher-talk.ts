/** What is said to a container's launcher, over whichever connection it has now, and what is waited for from it. */
import type { ToLauncher } from './launcher-messages.ts'
import type { LauncherConnection } from './launcher-server.ts'

/** How often a waiting launcher hears from us, and how long each word lasts. */
// @deadline(lastsMs) The sidecar hangs while it prepares | The application starts, counted from its last message
const patience = { everyMs: 2_000, lastsMs: 10_000 } as const
// @deadline The launcher does not adopt the restored tree | The sidecar undoes the restore
const adoptionDeadlineMs = 10_000
/**
 * The same while its container is kept open. A sidecar that says nothing for so long hangs: the launcher then ends the container, since
 * the checkpoint is in the store and whoever starts the application again restores it.
 */
const keptOpen = { everyMs: 20_000, silenceMs: 120_000 } as const

export type Tree = { root: number; supervisor: number; status: string }

export class LauncherTalk {
  #connection: LauncherConnection | undefined
  #patience: NodeJS.Timeout | undefined
  #keptOpen: NodeJS.Timeout | undefined
  /** The launcher's life (lifeOf), not its number: the next one, which may have that number, is to be prepared for. */
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

  /** A `hold` is repeated as long as it stands: until another verdict, or until the connection is lost. */
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
   * A launcher that waits hears of us at once, also while what was asked before is still being done; and hears the verdict
   * again when its connection broke just as it was said.
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

  /** Asks it to watch over a restored tree. False when it does not say so in time, or its connection is lost. */
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
