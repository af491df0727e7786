/** The socket of the launchers: lines in, lines out. Nothing is buffered for a peer that does not read. */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import type { EventLog } from '../../src/log.ts'
import { formatMessage, parseMessage, type FromLauncher, type ToLauncher } from './launcher-messages.ts'

const longestLineBytes = 4096
/** The sidecar's messages are short and few: a peer with so much unread does not read. */
const mostUnreadBytes = 64 * 1024
/** More than the containers of a pod and their preStop hooks can need. Further connections are refused. */
const mostConnections = 256

export type LauncherConnection = {
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
  log: EventLog,
): Promise<Server> {
  await rm(path, { force: true })
  const server = createServer((socket) => serve(socket, listener, log))
  server.maxConnections = mostConnections
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o666)
  return server
}

function serve(socket: Socket, listener: LauncherListener, log: EventLog): void {
  const connection: LauncherConnection = {
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
      listener.message(connection, message)
    }
    if (rest.length > longestLineBytes) socket.destroy()
  })
  socket.on('error', (error) =>
    log.debug({ event: 'launcher.connection_failed', error: error.message }, 'a launcher connection broke'),
  )
  socket.on('close', () => listener.closed(connection))
}
