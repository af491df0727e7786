/**
 * Lets the launchers and preStop hooks of the pod in, and closes every other connection. Any process of the pod may connect, so nothing is
 * read from a connection before the kernel has named its peer, and each container has a number of connections of its own.
 */
import type { Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'
import { ticksNow, type LauncherProcess, type Peers, type PeersOf } from './launcher-process.ts'

/** Asks about the peers of several connections at once, and so keeps up with a process that only connects. */
const batchSize = 32
/** Connections whose peer is not known yet. Launchers connect again when theirs is closed. */
const mostUnknown = 256
/** A container has one launcher and one preStop hook at a time, and for a moment those of its last life. */
const mostOfOneContainer = 8

export class Admission {
  readonly #peersOf: PeersOf
  readonly #admit: (socket: Socket, peer: LauncherProcess) => void
  readonly #log: EventLog
  readonly #counts = new Map<string, number>()
  #unknown: Socket[] = []
  #isAsking = false
  #refused = 0

  constructor(peersOf: PeersOf, admit: (socket: Socket, peer: LauncherProcess) => void, log: EventLog) {
    this.#peersOf = peersOf
    this.#admit = admit
    this.#log = log
  }

  /** @param socket paused */
  arrived(socket: Socket): void {
    if (this.#unknown.length >= mostUnknown) return this.#refuse(socket)
    socket.on('error', () => socket.destroy())
    this.#unknown.push(socket)
    if (!this.#isAsking) void this.#ask()
  }

  async #ask(): Promise<void> {
    this.#isAsking = true
    while (this.#unknown.length > 0) {
      const sockets = this.#unknown.splice(0, batchSize)
      const peers = await this.#peersOf(sockets, ticksNow()).catch((): Peers => [])
      for (const [index, socket] of sockets.entries()) this.#decide(socket, peers[index])
    }
    this.#isAsking = false
    if (this.#refused > 0)
      this.#log.warn(
        { event: 'launcher.strangers', connections: this.#refused },
        'connections that come from no launcher were refused',
      )
    this.#refused = 0
  }

  #decide(socket: Socket, peer: LauncherProcess | undefined): void {
    if (socket.destroyed) return
    const count = peer === undefined ? 0 : (this.#counts.get(peer.container) ?? 0)
    if (peer === undefined || count >= mostOfOneContainer) return this.#refuse(socket)
    const { container } = peer
    this.#counts.set(container, count + 1)
    socket.once('close', () => this.#counts.set(container, (this.#counts.get(container) ?? 1) - 1))
    this.#admit(socket, peer)
  }

  #refuse(socket: Socket): void {
    this.#refused++
    socket.destroy()
  }
}
