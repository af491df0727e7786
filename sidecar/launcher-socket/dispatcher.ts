/** Passes the messages of each launcher to the keeper of its container, and each preStop to its trigger. */
import type { EventLog } from '../../src/log.ts'
import { fetchHook } from './hook-fetch.ts'
import type { FromLauncher } from './launcher-messages.ts'
import type { LauncherConnection, LauncherListener } from './launcher-server.ts'
import { isAliveNow, shareMounts } from '../proc/process-tree.ts'

/** Receives the messages of the launcher of one container. */
export type LauncherHearer = {
  /** The process number of the launcher that spoke last, while it lives. */
  readonly launcherPid: number | undefined
  hear(connection: LauncherConnection, message: FromLauncher): void
  lost(connection: LauncherConnection): void
}

/** Answers a preStop. */
export type PrestopHearer = {
  asked(connection: LauncherConnection, container: string, budgetMs: number): Promise<void>
}

export class Dispatcher implements LauncherListener {
  readonly #keepers: ReadonlyMap<string, LauncherHearer>
  readonly #prestop: PrestopHearer
  readonly #log: EventLog
  readonly #introduced = new WeakMap<LauncherConnection, { keeper: LauncherHearer; pid: number }>()
  readonly #asking = new WeakSet<LauncherConnection>()
  readonly #fetching = new WeakSet<LauncherConnection>()

  constructor(keepers: ReadonlyMap<string, LauncherHearer>, prestop: PrestopHearer, log: EventLog) {
    this.#keepers = keepers
    this.#prestop = prestop
    this.#log = log
  }

  message(connection: LauncherConnection, message: FromLauncher): void {
    if (message.verb === 'prestop') {
      if (!this.#isHookOf(connection, message.container)) return this.#refuse(connection, message.container)
      // A preStop hook asks once. A peer that asks again and again would get every answer.
      if (this.#asking.has(connection)) return connection.close()
      this.#asking.add(connection)
      void this.#prestop.asked(connection, message.container, message.budgetMs)
      return
    }
    if (message.verb === 'fetch') {
      const { container } = connection.peer
      if (!this.#isHookOf(connection, container)) return this.#refuse(connection, container)
      if (this.#fetching.has(connection)) return connection.close()
      this.#fetching.add(connection)
      void fetchHook(message).then((answer) => connection.say(answer))
      return
    }
    if (message.verb === 'run') this.#introduce(connection, message)
    const launcher = this.#introduced.get(connection)
    // The sidecar dumps the tree that the launcher names, which must be in the launcher's own container.
    const isForeign = message.verb === 'started' && !shareMounts(launcher?.pid ?? 0, message.root)
    if (launcher === undefined || isForeign) connection.close()
    else launcher.keeper.hear(connection, message)
  }

  closed(connection: LauncherConnection): void {
    this.#introduced.get(connection)?.keeper.lost(connection)
  }

  #introduce(connection: LauncherConnection, message: FromLauncher & { verb: 'run' }): void {
    const { peer } = connection
    const keeper = this.#keepers.get(message.container)
    const root = 'root' in message.at ? message.at.root : message.pid
    // A second `run` on the same connection is judged anew.
    this.#introduced.delete(connection)
    // A container has one launcher at a time: a second one is false while the first one lives.
    const incumbent = keeper?.launcherPid
    const isRival = incumbent !== undefined && incumbent !== message.pid && isAliveNow(incumbent)
    if (
      keeper === undefined ||
      isRival ||
      peer.mode !== 'run' ||
      peer.pid !== message.pid ||
      peer.container !== message.container ||
      !shareMounts(message.pid, root)
    )
      return this.#refuse(connection, message.container)
    this.#introduced.set(connection, { keeper, pid: message.pid })
  }

  /** The hook runs in the container that it names, whose launcher tells which one that is. */
  #isHookOf({ peer }: LauncherConnection, container: string): boolean {
    const launcher = this.#keepers.get(container)?.launcherPid
    return (
      peer.mode === 'prestop' &&
      peer.container === container &&
      (launcher === undefined || shareMounts(peer.pid, launcher))
    )
  }

  #refuse(connection: LauncherConnection, container: string): void {
    this.#log.warn(
      { event: 'launcher.refused', container, pid: connection.peer.pid },
      'a message that is not the peer’s to send was refused',
    )
    connection.close()
  }
}
