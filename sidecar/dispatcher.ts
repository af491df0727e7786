/** Brings each launcher's words to the keeper of its container, and each preStop to its trigger. */
import type { Log } from '../src/log.ts'
import type { ContainerKeeper } from './container-keeper.ts'
import { fetchHook } from './hook-fetch.ts'
import type { FromLauncher } from './launcher-messages.ts'
import type { LauncherConnection, LauncherListener } from './launcher-server.ts'
import { mayBeLauncher } from './process-tree.ts'
import type { PrestopTrigger } from './triggers/prestop.ts'

export class Dispatcher implements LauncherListener {
  readonly #keepers: ReadonlyMap<string, ContainerKeeper>
  readonly #prestop: PrestopTrigger
  readonly #log: Log
  readonly #introduced = new WeakMap<LauncherConnection, ContainerKeeper>()

  constructor(keepers: ReadonlyMap<string, ContainerKeeper>, prestop: PrestopTrigger, log: Log) {
    this.#keepers = keepers
    this.#prestop = prestop
    this.#log = log
  }

  message(connection: LauncherConnection, message: FromLauncher): void {
    if (message.verb === 'prestop') {
      void this.#prestop.asked(connection, message.container, message.budgetMs)
      return
    }
    if (message.verb === 'fetch') {
      void fetchHook(message).then((answer) => connection.say(answer))
      return
    }
    if (message.verb === 'run') this.#introduce(connection, message)
    const keeper = this.#introduced.get(connection)
    if (keeper === undefined) connection.close()
    else keeper.hear(connection, message)
  }

  closed(connection: LauncherConnection): void {
    this.#introduced.get(connection)?.lost(connection)
  }

  #introduce(connection: LauncherConnection, message: FromLauncher & { verb: 'run' }): void {
    const keeper = this.#keepers.get(message.container)
    // Any process of the pod can connect: one that names this sidecar or the pause process as its tree is not a launcher.
    const pids = [message.pid, ...('root' in message.at ? [message.at.root] : [])]
    if (keeper === undefined || !pids.every(mayBeLauncher)) {
      this.#log.warn(
        { container: message.container, pid: message.pid },
        'a connection that is no launcher of this pod was refused',
      )
      return
    }
    this.#introduced.set(connection, keeper)
  }
}
