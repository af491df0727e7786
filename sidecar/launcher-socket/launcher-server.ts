/** The socket of the launchers: lines in, lines out. Nothing is buffered for a peer that does not read. admission.ts lets peers in. */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'
import { Admission } from './admission.ts'
import type { LauncherProcess, PeersOf } from './launcher-process.ts'
import { formatMessage, parseMessage, type FromLauncher, type ToLauncher } from './launcher-messages.ts'

const longestLineBytes = 4096
/** The sidecar's messages are short and few: a peer with so much unread does not read. */
const mostUnreadBytes = 64 * 1024
/** A launcher says who it is as soon as it has connected, and a preStop hook what it asks for. */
// @deadline A peer connects and says nothing | The sidecar closes the connection
const firstWordMs = 10_000

export type LauncherConnection = {
  /** The process that connected, as the kernel names it. */
  readonly peer: LauncherProcess
  say(message: ToLauncher): void
  close(): void
  readonly closed: boolean
}

export type LauncherListener = {
  message(connection: LauncherConnection, message: FromLauncher): void
  closed(connection: LauncherConnection): void
}

export async function listenForLaunchers(
  path: string,
  listener: LauncherListener,
  peersOf: PeersOf,
  log: EventLog,
): Promise<Server> {
  await rm(path, { force: true })
  const admission = new Admission(peersOf, (socket, peer) => serve(socket, peer, listener, log), log)
  const server = createServer({ pauseOnConnect: true }, (socket) => admission.arrived(socket))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o666)
  return server
}

function serve(socket: Socket, peer: LauncherProcess, listener: LauncherListener, log: EventLog): void {
  const connection: LauncherConnection = {
    peer,
    say: (message) => {
      if (socket.writableLength > mostUnreadBytes) socket.destroy()
      if (!socket.destroyed) socket.write(formatMessage(message))
    },
    close: () => socket.destroy(),
    get closed() {
      return socket.destroyed
    },
  }
  let rest = ''
  const firstWord = setTimeout(() => socket.destroy(), firstWordMs)
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => {
    rest += text
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (socket.destroyed) return
      const message = line.length < longestLineBytes ? parseMessage(line) : undefined
      if (message === undefined) {
        log.warn(
          { event: 'launcher.not_understood', line: line.slice(0, 200) },
          'a launcher said something unknown',
        )
        socket.destroy()
        return
      }
      clearTimeout(firstWord)
      listener.message(connection, message)
    }
    if (rest.length > longestLineBytes) socket.destroy()
  })
  socket.on('error', (error) =>
    log.debug({ event: 'launcher.connection_failed', error: error.message }, 'a launcher connection broke'),
  )
  socket.on('close', () => {
    clearTimeout(firstWord)
    listener.closed(connection)
  })
  socket.resume()
}
