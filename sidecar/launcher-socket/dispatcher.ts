/** Brings each launcher's words to the keeper of its container, and each preStop to its trigger. */
import type { EventLog } from '../../src/log.ts'
import { fetchHook } from './hook-fetch.ts'
import type { FromLauncher } from './launcher-messages.ts'
import type { LauncherConnection, LauncherListener } from './launcher-server.ts'
import { isAliveNow, shareMounts } from '../proc/process-tree.ts'

/** What hears the launcher of one container. */
export type LauncherHearer = {
  /** Of the launcher that was heard last, while it lives. */
  readonly launcherPid: number | undefined
  hear(connection: LauncherConnection, message: FromLauncher): void
  lost(connection: LauncherConnection): void
}

/** What answers a preStop. */
export type PrestopHearer = {
  asked(connection: LauncherConnection, container: string, budgetMs: number): Promise<void>
}

export class Dispatcher implements LauncherListener {
  readonly #keepers: ReadonlyMap<string, LauncherHearer>
  readonly #prestop: PrestopHearer
  readonly #isLauncher: (pid: number) => boolean
  readonly #log: EventLog
  readonly #introduced = new WeakMap<LauncherConnection, { keeper: LauncherHearer; pid: number }>()
  readonly #asking = new WeakSet<LauncherConnection>()
  readonly #fetching = new WeakSet<LauncherConnection>()

  constructor(
    keepers: ReadonlyMap<string, LauncherHearer>,
    prestop: PrestopHearer,
    isLauncher: (pid: number) => boolean,
    log: EventLog,
  ) {
    this.#keepers = keepers
    this.#prestop = prestop
    this.#isLauncher = isLauncher
    this.#log = log
  }

  message(connection: LauncherConnection, message: FromLauncher): void {
    if (message.verb === 'prestop') {
      // One hook asks once; a peer that asks over and over would have each answered.
      if (this.#asking.has(connection)) return connection.close()
      this.#asking.add(connection)
      void this.#prestop.asked(connection, message.container, message.budgetMs)
      return
    }
    if (message.verb === 'fetch') {
      if (this.#fetching.has(connection)) return connection.close()
      this.#fetching.add(connection)
      void fetchHook(message).then((answer) => connection.say(answer))
      return
    }
    if (message.verb === 'run') this.#introduce(connection, message)
    const launcher = this.#introduced.get(connection)
    // What it names as its tree is what we dump: never another container's.
    const isForeign = message.verb === 'started' && !shareMounts(launcher?.pid ?? 0, message.root)
    if (launcher === undefined || isForeign) connection.close()
    else launcher.keeper.hear(connection, message)
  }

  closed(connection: LauncherConnection): void {
    this.#introduced.get(connection)?.keeper.lost(connection)
  }

  #introduce(connection: LauncherConnection, message: FromLauncher & { verb: 'run' }): void {
    const keeper = this.#keepers.get(message.container)
    const root = 'root' in message.at ? message.at.root : message.pid
    // Said again on a connection that was good, it is judged anew.
    this.#introduced.delete(connection)
    // A container has one launcher at a time: whoever else says it is that one lies.
    const incumbent = keeper?.launcherPid
    const isRival = incumbent !== undefined && incumbent !== message.pid && isAliveNow(incumbent)
    if (
      keeper === undefined ||
      isRival ||
      !this.#isLauncher(message.pid) ||
      !shareMounts(message.pid, root)
    ) {
      this.#log.warn(
        { event: 'launcher.refused', container: message.container, pid: message.pid },
        'a connection that is no launcher of this pod was refused',
      )
      return
    }
    this.#introduced.set(connection, { keeper, pid: message.pid })
  }
}
